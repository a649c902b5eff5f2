//! Giving back what a container took. Each step runs whatever the others did; what can't be given
//! back stays in the journal, for a later sweep.

use std::time::Duration;

use wharf_cgroup::{Group, Layout};

use super::launch::{Container, PARENT};
use crate::state::{Record, Store};
use crate::{Error, Result};

/// How long processes that were killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Ends all processes of a cgroup.
pub(super) fn end_all(group: &Group) -> wharf_cgroup::Result<()> {
    if group.is_empty()? {
        return Ok(());
    }
    group.kill()?;
    group.wait_empty(GONE_WITHIN).map(drop)
}

/// Ends all processes of a cgroup and removes it.
pub(crate) fn remove_group(group: &Group) -> Result<()> {
    let failed = |cause| Error::failed(format_args!("remove cgroup {}", group.name()), cause);
    end_all(group).and_then(|()| group.delete()).map_err(failed)
}

/// Removes the folders that the containers' cgroups are in, where they are empty.
pub(crate) fn forget_parents() {
    if let Ok(parent) = Layout::detect().and_then(|layout| Group::open(&layout, PARENT)) {
        // Other roots of this host may have containers.
        let _ = parent.delete_if_bare();
    }
}

/// Removes a container's cgroup and its note in the journal.
pub(super) fn give_back_group(store: &Store, record: &Record, group: &Group) -> Result<()> {
    remove_group(group)?;
    store.settle("cgroup", &super::launch::cgroup_name(&record.id))
}

/// Ends a container that has just been started, and gives back what it took.
pub(super) fn abandon(container: Container, store: &mut Store) {
    let Container { record, group, endpoint, init, .. } = container;
    // Whatever fails here is journalled, and the caller reports why it came to this.
    let _ = rustix::process::pidfd_send_signal(&init.pidfd, rustix::process::Signal::KILL);
    let _ = super::run::reap(&init);
    let _ = give_back_group(store, &record, &group);
    if let Some(endpoint) = endpoint {
        let _ = endpoint.disconnect(store);
    }
}
