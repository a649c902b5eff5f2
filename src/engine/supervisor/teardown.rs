//! Giving back what a container took. Each step runs whatever the others did; what can't be given
//! back stays in the journal, for a later sweep.

use std::time::Duration;

use wharf_cgroup::{Group, Layout};

use super::launch::{Container, HOME, PARENT};
use crate::state::{Record, Store};
use crate::{Error, Result};

/// How long processes that were killed may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// How long a supervisor may take from its last act to its end.
const EXIT_WITHIN: Duration = Duration::from_millis(50);

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
    let Ok(layout) = Layout::detect() else { return };
    if let Ok(home) = Group::open(&layout, HOME) {
        // A supervisor whose container has ended is about to end too.
        let _ = home.wait_empty(EXIT_WITHIN);
        let _ = home.delete_if_bare();
    }
    if let Ok(parent) = Group::open(&layout, PARENT) {
        // Other roots of this host may have containers.
        let _ = parent.delete_if_bare();
    }
}

/// Removes a container's cgroup and its note in the journal.
pub(super) fn give_back_group(store: &Store, record: &Record, group: &Group) -> Result<()> {
    remove_group(group)?;
    store.settle("cgroup", &super::launch::cgroup_name(record))
}

/// Ends a container that has just been started, and gives back what it took.
pub(super) fn abandon(mut container: Container, store: &mut Store) {
    stop_at_once(&mut container, store);
}

/// Ends the run of a container that has just begun, and gives back what it took.
pub(super) fn stop_at_once(container: &mut Container, store: &mut Store) {
    let Container { record, group, endpoints, ports, dns, init, .. } = container;
    // Whatever fails here is journalled, and the caller reports why it came to this.
    let _ = rustix::process::pidfd_send_signal(&init.pidfd, rustix::process::Signal::KILL);
    let _ = super::run::reap(init);
    *dns = None;
    let _ = give_back_group(store, record, group);
    let _ = crate::userns::remap::give_back(store, &record.id);
    ports.clear();
    let _ = crate::network::publish::give_back_all(store, &record.id);
    for endpoint in std::mem::take(endpoints) {
        let _ = endpoint.disconnect(store);
    }
}
