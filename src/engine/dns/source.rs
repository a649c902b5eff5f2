//! Where the names come from.

use std::path::PathBuf;
use std::time::Duration;

use wharf_model::ContainerId;

use super::table::{Member, Network, Table};
use crate::Result;
use crate::network::{self, Endpoint};
use crate::state::Store;

/// Names that may change from one query to the next.
pub(crate) trait Names {
    /// Returns the names as they are now; none when they can't be read.
    fn table(&mut self) -> Option<&Table>;

    /// Forgets what can be read again.
    fn forget(&mut self);
}

/// The names of a container's networks in the state database. They are read when they are asked for
/// and kept until the database changes, which it says by a number that costs next to nothing.
pub(crate) struct Recorded {
    database: PathBuf,
    container: ContainerId,
    read: Option<Read>,
}

struct Read {
    store: Store,
    version: i64,
    table: Table,
}

/// Readers of the database wait for nobody, except after a crash. Queries wait no longer than this.
const PATIENCE: Duration = Duration::from_millis(100);

impl Recorded {
    /// Returns the names that a container can see.
    pub(crate) fn new(database: PathBuf, container: ContainerId) -> Self {
        Self { database, container, read: None }
    }

    fn refresh(&mut self) -> Result<()> {
        let store = match self.read.take() {
            Some(read) => {
                let version = read.store.data_version()?;
                if version == read.version {
                    self.read = Some(read);
                    return Ok(());
                }
                read.store
            }
            None => {
                let store = Store::open(&self.database)?;
                store.connection().busy_timeout(PATIENCE)?;
                store
            }
        };
        // What changes after this number was read is seen next time.
        let version = store.data_version()?;
        let table = read(&store, &self.container)?;
        self.read = Some(Read { store, version, table });
        Ok(())
    }
}

/// Reads the names that a container can see. On the default network nobody has one.
fn read(store: &Store, container: &ContainerId) -> Result<Table> {
    let mut endpoints = network::endpoints_of(store, container)?;
    // Docker's order, where a name is known on several.
    let rank = |endpoint: &Endpoint| {
        let network = endpoint.network();
        (network.internal, -endpoint.options().gateway_priority, network.name.clone())
    };
    endpoints.sort_by_cached_key(rank);
    let mut networks = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let network = endpoint.network();
        let mut names = Network::new(&network.name, network.internal);
        if network.is_predefined() {
            networks.push(names);
            continue;
        }
        for found in network::names(store, &network.id)? {
            let mut others = found.aliases;
            others.push(found.container.short().to_owned());
            others.push(found.hostname);
            let (ipv4, ipv6) = (found.ipv4, found.ipv6);
            names.add(Member { name: found.name, others, ipv4, ipv6 });
        }
        for link in &endpoint.options().links {
            let (target, name) = link.split_once(':').unwrap_or((link, link));
            // One that has gone has no name.
            if let Ok(target) = store.container(target) {
                names.link(&target.name, name);
            }
        }
        networks.push(names);
    }
    Ok(Table::new(networks))
}

impl Names for Recorded {
    fn table(&mut self) -> Option<&Table> {
        // A database that can't be read now may be read at the next query.
        self.refresh().ok()?;
        self.read.as_ref().map(|read| &read.table)
    }

    fn forget(&mut self) {
        self.read = None;
    }
}
