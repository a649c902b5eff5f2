//! Changing the networks of the container while its supervisor lives.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use wharf_model::{EndpointOptions, ErrorKind};
use wharf_sys::netlink::route::RouteSocket;

use super::launch::{self, Container};
use super::proxy::{Proxy, Target};
use super::run::{Phase, Supervisor};
use crate::init::settings;
use crate::network::files::own_line;
use crate::network::publish::{self, Bound};
use crate::network::{self, Endpoint, Guest};
use crate::state::{Store, write_observed, write_spec};
use crate::{Error, Result};

impl Supervisor {
    /// Puts the container on one more network, now if it runs, and for its next runs. When any of it
    /// fails, it is as before.
    pub(super) fn connect(&mut self, options: &EndpointOptions) -> Result<()> {
        let runs = matches!(self.phase, Phase::Running);
        let mut store = Store::open(&self.container.paths.database())?;
        let container = &mut self.container;
        let network = network::find(&store, &options.network)?;
        network::check_join(&container.record, &network, options)?;
        let (made, links) = match runs {
            true => {
                let (made, links) = plug_in(container, &mut store, options)?;
                (Some(made), links)
            }
            false => (None, String::new()),
        };
        let mut record = container.record.clone();
        let bound = match take_ports(container, &store, &self.proxy, made.as_ref()) {
            Ok(bound) => bound,
            Err(error) => {
                if let Some(endpoint) = made {
                    give_up(container, &mut store, &endpoint)?;
                }
                return Err(error);
            }
        };
        if !bound.is_empty() {
            record.observed.ports = bound.iter().map(|(bound, _)| bound.binding()).collect();
        }
        let mut networks = record.spec.networks();
        networks.retain(|other| other.network != options.network);
        networks.push(options.clone());
        record.spec.networks = Some(networks);
        let stored = store.transaction(|transaction| {
            write_spec(transaction, &record)?;
            write_observed(transaction, &record)?;
            // Whoever hears of it finds it everywhere.
            made.as_ref().map_or(Ok(()), |made| made.tell(transaction))
        });
        if let Err(error) = stored {
            if let Some(endpoint) = made {
                give_up(container, &mut store, &endpoint)?;
            }
            return Err(error);
        }
        container.record = record;
        if let Some(endpoint) = made {
            container.endpoints.push(endpoint);
            self.proxy.begin(&self.epoll, bound, &self.container.init);
            self.rewrite_hosts("", &links);
            self.serve_names()?;
            self.lead_ports(&store);
        }
        Ok(())
    }

    /// Takes the container from a network, now if it runs, and for its next runs.
    pub(super) fn disconnect(&mut self, name: &str) -> Result<()> {
        let runs = matches!(self.phase, Phase::Running);
        let mut store = Store::open(&self.container.paths.database())?;
        let container = &mut self.container;
        let network = network::find(&store, name)?;
        network::check_leave(&container.record, &network)?;
        let mut record = container.record.clone();
        let mut networks = record.spec.networks();
        networks.retain(|other| other.network != network.name);
        record.spec.networks = Some(networks);
        let held = container.endpoints.iter().find(|held| held.network().id == network.id).cloned();
        let mut links = String::new();
        match held.filter(|_| runs) {
            Some(endpoint) => {
                let stay = container.endpoints.iter().filter(|other| **other != endpoint).cloned();
                if publish::ways(&stay.collect::<Vec<_>>()).is_empty() {
                    record.observed.ports.clear();
                }
                // Those of containers that have ended lead nowhere any more, and stay.
                let own = std::slice::from_ref(&endpoint);
                links = network::links::lines(&store, own).unwrap_or_default();
                container.endpoints.retain(|other| *other != endpoint);
                let left = unplug(container, &endpoint).and_then(|()| {
                    store.transaction(|transaction| {
                        write_spec(transaction, &record)?;
                        write_observed(transaction, &record)?;
                        endpoint.forget(transaction)
                    })
                });
                if let Err(error) = left {
                    container.endpoints.push(endpoint);
                    return Err(error);
                }
                // What is left open is closed by the next who comes or goes.
                let _ = network::links::settle(&store);
            }
            None => store.change_spec(&record, None)?,
        }
        container.record = record;
        self.rewrite_hosts(&links, "");
        if runs {
            self.serve_names()?;
        }
        self.lead_ports(&store);
        Ok(())
    }

    /// Starts the container's name server with its first network that has names, and tells it of
    /// others later. It stays when the last of them goes, as with docker.
    fn serve_names(&mut self) -> Result<()> {
        let container = &mut self.container;
        let resolver = launch::resolver(&container.record, &container.endpoints)?;
        if let Some(dns) = &mut container.dns {
            dns.networks_changed(resolver.map(|(_, forwarding)| forwarding.upstreams));
            return Ok(());
        }
        let Container { paths, record, .. } = &*container;
        if let Some((resolv_conf, forwarding)) = resolver {
            let namespace = namespace(container)?;
            let dns = launch::name_server(paths, record, &forwarding, namespace)?;
            let path = paths.container(&record.id).join("resolv.conf");
            // In place: the file is mounted in the container.
            std::fs::write(&path, resolv_conf)
                .map_err(|cause| Error::failed(format_args!("write {}", path.display()), cause))?;
            container.dns = Some(dns);
            self.watch_names();
        }
        Ok(())
    }

    /// Leads published ports to where the container is reached now; where it isn't any more, it has none.
    fn lead_ports(&mut self, store: &Store) {
        let ways = publish::ways(&self.container.endpoints);
        if ways.is_empty() {
            self.proxy.end();
        }
        let forwards = self.proxy.aim(&ways);
        // Where the firewall refuses, `system check` says so; the loopback is served all the same.
        let _ = publish::move_to(store, &self.container.record.id, &forwards);
    }

    /// Gives /etc/hosts the lines of the addresses that the container has now and of others that it has
    /// names for now instead of before, and leaves what else is in it. A container that joined this
    /// one's network sees the same file.
    fn rewrite_hosts(&self, before: &str, now: &str) {
        let Container { paths, record, endpoints, .. } = &self.container;
        let path = paths.container(&record.id).join("hosts");
        let config = &record.spec.config;
        // Names that can't be written are a comfort lost; the addresses are there.
        let names = (config.hostname.as_str(), config.domainname.as_str());
        let _ = rewrite(&path, names, endpoints, (before, now));
    }
}

/// Makes the container's link on a network, with its addresses and routes. Returns it, and the lines of
/// /etc/hosts for those that the container has names for there.
fn plug_in(
    container: &Container,
    store: &mut Store,
    options: &EndpointOptions,
) -> Result<(Endpoint, String)> {
    let Container { record, endpoints, network: settings, .. } = container;
    let guest = Guest { container: &record.id, hostname: &record.spec.config.hostname };
    let endpoint = network::prepare(store, guest, options, settings)?;
    if let Some(other) = endpoints.iter().find(|other| other.interface() == endpoint.interface()) {
        let text = format!(
            "the container already has an interface {} on network {}",
            other.interface(),
            other.network().name
        );
        endpoint.disconnect(store)?;
        return Err(Error::new(ErrorKind::Conflict, text));
    }
    let make = || {
        let namespace = namespace(container)?;
        endpoint.connect(store, namespace.as_fd())?;
        let mut route = inside(container)?;
        endpoint.configure(&mut route)?;
        set_inside(container, &endpoint.sysctls()?)?;
        let all: Vec<Endpoint> = endpoints.iter().cloned().chain([endpoint.clone()]).collect();
        network::set_routes(&mut route, &all)?;
        network::links::lines(store, std::slice::from_ref(&endpoint))
    };
    match make() {
        Ok(links) => Ok((endpoint, links)),
        Err(error) => {
            // The first failure is the one to report; what can't be taken back is journalled.
            let _ = give_up(container, store, &endpoint);
            Err(error)
        }
    }
}

/// Takes the ports that the container wants of the host, if it has none yet because nobody got into the
/// networks that it was on, and somebody does now.
fn take_ports(
    container: &Container,
    store: &Store,
    proxy: &Proxy,
    made: Option<&Endpoint>,
) -> Result<Vec<(Bound, Target)>> {
    let Some(made) = made.filter(|_| !proxy.has_ports()) else { return Ok(Vec::new()) };
    let all: Vec<Endpoint> = container.endpoints.iter().chain([made]).cloned().collect();
    match publish::ways(&all) {
        ways if ways.is_empty() => Ok(Vec::new()),
        ways => Ok(launch::aimed(publish::bind(store, &container.record)?, &ways, Target::Routed)),
    }
}

/// Takes back a network that the container was to be on.
fn give_up(container: &Container, store: &mut Store, endpoint: &Endpoint) -> Result<()> {
    unplug(container, endpoint)?;
    store.transaction(|transaction| endpoint.forget(transaction))?;
    network::links::settle(store)
}

/// Takes the container's link on a network away. The routes become those of the endpoints that are
/// left.
fn unplug(container: &Container, endpoint: &Endpoint) -> Result<()> {
    let mut route = inside(container)?;
    endpoint.unplug(&mut route)?;
    network::set_routes(&mut route, &container.endpoints)?;
    endpoint.unlink()
}

/// Opens the container's network namespace.
fn namespace(container: &Container) -> Result<std::os::fd::OwnedFd> {
    // Its first process hasn't been reaped, so that the number is still its.
    let path = format!("/proc/{}/ns/net", container.init.pid);
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|cause| Error::failed("open the container's network namespace", cause))
}

/// Returns a socket of the container's network namespace: a socket stays in the one it was made in.
fn inside(container: &Container) -> Result<RouteSocket> {
    within(container, || RouteSocket::open().map_err(|cause| Error::failed("network", cause)))
}

/// Sets kernel settings of the container's network namespace.
fn set_inside(container: &Container, settings: &[(String, String)]) -> Result<()> {
    if settings.is_empty() {
        return Ok(());
    }
    within(container, || {
        settings.iter().try_for_each(|(name, value)| {
            // It shows the network namespace of whoever opens it.
            let path = settings::path(name).ok_or(std::io::ErrorKind::InvalidInput.into());
            path.and_then(|path| std::fs::write(format!("/proc/sys/{path}"), value)).map_err(
                |cause| Error::failed(format_args!("set the sysctl {name} to {value:?}"), cause),
            )
        })
    })
}

/// Does something in the container's network namespace, where only a thread needs to go, for an
/// instant.
fn within<T: Send>(container: &Container, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let namespace = namespace(container)?;
    let joined = || {
        nix::sched::setns(&namespace, nix::sched::CloneFlags::CLONE_NEWNET)
            .map_err(|cause| Error::failed("join the container's network namespace", cause))?;
        work()
    };
    std::thread::scope(|scope| scope.spawn(joined).join())
        .unwrap_or_else(|_| Err(Error::failed("network", "a thread ended unexpectedly")))
}

/// Rewrites the lines of a hosts file that name this host by these names (host and domain), and
/// replaces those for others by new ones.
fn rewrite(
    path: &Path,
    (hostname, domainname): (&str, &str),
    endpoints: &[Endpoint],
    (before, now): (&str, &str),
) -> std::io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let names = own_line(std::net::Ipv4Addr::LOCALHOST.into(), hostname, domainname);
    let names = names.split_once('\t').map_or("", |(_, names)| names.trim_end());
    let is_own = |line: &str| line.split_once('\t').is_some_and(|(_, rest)| rest == names);
    let stays = |line: &&str| !is_own(line) && !before.lines().any(|gone| gone == *line);
    let mut lines: String = text.lines().filter(stays).flat_map(|line| [line, "\n"]).collect();
    lines.push_str(now);
    for address in endpoints.iter().flat_map(Endpoint::addresses) {
        lines.push_str(&own_line(address, hostname, domainname));
    }
    // In place: the file is mounted in the container.
    std::fs::write(path, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_lines_of_a_hosts_file_change() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let before =
            "127.0.0.1\tlocalhost\n10.0.0.2\tweb\n10.9.9.9\twebber\n# mine\n10.1.0.2\tweb\n";
        std::fs::write(file.path(), before).unwrap();
        let db = "10.0.0.7\tdb 0123456789ab\n";
        rewrite(file.path(), ("web", ""), &[], ("", db)).unwrap();
        let after = std::fs::read_to_string(file.path()).unwrap();
        let rest = "127.0.0.1\tlocalhost\n10.9.9.9\twebber\n# mine\n";
        assert_eq!(after, format!("{rest}{db}"));
        rewrite(file.path(), ("web", ""), &[], (db, "")).unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), rest);
        std::fs::write(file.path(), "10.0.0.2\tweb.lan web\n").unwrap();
        rewrite(file.path(), ("web", "lan"), &[], ("", "")).unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "");
    }
}
