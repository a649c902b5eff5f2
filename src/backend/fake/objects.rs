//! The fake engine's networks and volumes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use ipnet::IpNet;
use wharf_model::{
    AddressPool, ChangeKind, ContainerSummary, EndpointInfo, ErrorKind, EventKind, FileChange,
    FileEntry, FileHead, FileKind, FolderList, MountKind, NetCounters, NetworkCreateOptions,
    NetworkEndpoint, NetworkInfo, Outcome, ReachAnswer, ReachQuestion, VolumeCreateOptions,
    VolumeInfo, VolumeUser,
};

use super::data::{epoch, time};
use super::{Fake, no_such};
use crate::{Error, Result};

/// Returns a network of this name; the number makes its id and its subnet `172.(16+number).0.0/16`.
pub fn network(number: u8, name: &str, internal: bool) -> NetworkInfo {
    let address = |last| Ipv4Addr::new(172, number.saturating_add(16), 0, last);
    let subnet = IpNet::new(IpAddr::V4(address(0)), 16).ok();
    let driver = match name {
        "host" => "host",
        "none" => "null",
        _ => "bridge",
    };
    let pool =
        AddressPool { subnet, gateway: Some(IpAddr::V4(address(1))), ..AddressPool::default() };
    NetworkInfo {
        id: format!("{number:02x}").repeat(32),
        name: name.to_owned(),
        created: time(-3600 * i64::from(number)),
        scope: "local".to_owned(),
        driver: driver.to_owned(),
        ipv4: true,
        ipv6: false,
        pools: if driver == "bridge" { vec![pool] } else { Vec::new() },
        internal,
        attachable: false,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
        endpoints: Vec::new(),
    }
}

/// Returns a volume of this name.
pub fn volume(name: &str, size: u64) -> VolumeInfo {
    VolumeInfo {
        name: name.to_owned(),
        driver: "local".to_owned(),
        mountpoint: format!("/var/lib/fake/volumes/{name}/_data"),
        created: Some(epoch() - TimeDelta::days(3)),
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        scope: "local".to_owned(),
        anonymous: name.len() == 64,
        users: Vec::new(),
        size: Some(size),
    }
}

pub(super) fn networks() -> Vec<NetworkInfo> {
    vec![
        network(1, "bridge", false),
        network(2, "shop_default", false),
        network(3, "shop_back", true),
        network(4, "spare", false),
        network(5, "host", false),
        network(6, "none", false),
    ]
}

pub(super) fn volumes() -> Vec<VolumeInfo> {
    vec![
        volume("shop_pgdata", 812 << 20),
        volume("shop_cache", 12 << 20),
        volume(&"c0ffee42".repeat(8), 4096),
    ]
}

/// Puts a container on a network, with its address there while it runs.
pub(super) fn attach(container: &mut ContainerSummary, network: &NetworkInfo) {
    if !container.networks.contains(&network.name) {
        container.networks.push(network.name.clone());
    }
    let Some(subnet) = network.pools.first().and_then(|pool| pool.subnet) else { return };
    let (IpAddr::V4(base), true) = (subnet.addr(), container.status.is_alive()) else { return };
    let [a, b, c, _] = base.octets();
    let last = container.id.as_str().bytes().fold(0_u8, u8::wrapping_add);
    container.endpoints.push(EndpointInfo {
        network: network.name.clone(),
        ip: IpAddr::V4(Ipv4Addr::new(a, b, c, last)),
        prefix: subnet.prefix_len(),
        gateway: network.pools.first().and_then(|pool| pool.gateway),
        mac: format!("02:42:{a:02x}:{b:02x}:{c:02x}:{last:02x}"),
        network_id: network.id.clone(),
        endpoint_id: String::new(),
    });
}

fn entry(name: &str, kind: FileKind, size: u64, mode: u32) -> FileEntry {
    FileEntry {
        name: name.into(),
        kind,
        size,
        mode,
        uid: 999,
        gid: 999,
        modified: Some(epoch() - TimeDelta::minutes(7)),
        target: (kind == FileKind::Link).then(|| "base/1".into()),
        change: None,
        layer: None,
    }
}

/// What postgresql.conf holds: a text that tries to do something to a terminal, too.
const CONFIG: &str = "# settings\nlisten_addresses = '*'\n\x1b]0;owned\x07\x1b[2Jport = 5432\n";

impl Fake {
    /// Adds or replaces a network.
    pub fn put_network(&self, network: NetworkInfo) {
        let mut state = self.lock();
        state.networks.retain(|n| n.id != network.id);
        state.networks.push(network);
    }

    /// Adds or replaces a volume.
    pub fn put_volume(&self, volume: VolumeInfo) {
        let mut state = self.lock();
        state.volumes.retain(|v| v.name != volume.name);
        state.volumes.push(volume);
    }

    pub(super) fn files_of_container(&self, container: &str, path: &Path) -> Result<FolderList> {
        self.find(container)?;
        let change = |kind| Some(FileChange { kind, before: Some(812) });
        let from = |mut entry: FileEntry, layer| {
            entry.layer = layer;
            entry
        };
        let changed = |mut entry: FileEntry, kind| {
            entry.change = change(kind);
            entry
        };
        let folder = |name| entry(name, FileKind::Folder, 4096, 0o755);
        let file = |name, size| entry(name, FileKind::File, size, 0o644);
        let entries = match path.to_str() {
            Some("") => vec![
                from(folder("bin"), Some(0)),
                changed(from(folder("etc"), None), ChangeKind::Modified),
                changed(from(folder("srv"), None), ChangeKind::Added),
                from(entry("sh", FileKind::Link, 7, 0o777), Some(1)),
            ],
            Some("etc") => vec![
                from(folder("nginx"), Some(1)),
                changed(from(file("hosts", 1304), None), ChangeKind::Modified),
                changed(file("motd", 0), ChangeKind::Deleted),
                from(file("passwd", 1204), Some(0)),
                from(file("\u{1b}[2Jcleared\u{202e}", 5), Some(0)),
            ],
            Some("bin") => vec![from(file("true", 26_936), Some(0))],
            Some("srv") => Vec::new(),
            _ => {
                let text = format!("container {container}: open /{}: not found", path.display());
                return Err(Error::new(ErrorKind::NotFound, text));
            }
        };
        Ok(FolderList { path: path.to_owned(), entries, unknown: None, layers: Some(3) })
    }

    pub(super) fn head_of_container(
        &self,
        container: &str,
        path: &Path,
        most: usize,
    ) -> Result<FileHead> {
        self.find(container)?;
        let mut bytes = match path.to_str() {
            Some("bin/true") => b"\x7fELF\x02\x01\x01\0\0\0\0\x1b[31mnot red".to_vec(),
            _ => CONFIG.as_bytes().to_vec(),
        };
        let size = bytes.len() as u64;
        bytes.truncate(most);
        Ok(FileHead { bytes, size })
    }

    pub(super) fn list_networks(&self) -> Result<Vec<NetworkInfo>> {
        let state = self.answering()?;
        let mut list = state.networks.clone();
        for network in &mut list {
            for container in &state.containers {
                let places = container.endpoints.iter().filter(|e| e.network == network.name);
                network.endpoints.extend(places.map(|place| NetworkEndpoint {
                    container: container.id.clone(),
                    name: container.name.clone(),
                    endpoint_id: format!("{}{}", &network.id[..32], &container.id.as_str()[..32]),
                    mac: place.mac.clone(),
                    ipv4: IpNet::new(place.ip, place.prefix).ok(),
                    ipv6: None,
                    link: Some(format!("wh{}{}", &network.id[..2], &container.id.as_str()[..8])),
                }));
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    pub(super) fn find_network(&self, name: &str) -> Result<NetworkInfo> {
        let list = self.list_networks()?;
        let found = list.into_iter().find(|n| n.name == name || n.id.starts_with(name));
        found.ok_or_else(|| no_such("network", name))
    }

    pub(super) fn read_links(&self) -> Result<Vec<(String, NetCounters)>> {
        let networks = self.list_networks()?;
        let mut state = self.lock();
        state.links_read += 1;
        let turn = state.links_read;
        let links = networks.iter().flat_map(|n| &n.endpoints).zip(1_u64..);
        Ok(links
            .filter_map(|(endpoint, n)| {
                let counters = NetCounters {
                    rx_bytes: turn * n * 1500,
                    tx_bytes: turn * n * 700,
                    ..NetCounters::default()
                };
                Some((endpoint.link.clone()?, counters))
            })
            .collect())
    }

    pub(super) fn try_reach(&self, question: &ReachQuestion) -> Result<ReachAnswer> {
        let (from, to) = (self.find(&question.from)?, self.find(&question.to)?);
        let shared = from.networks.iter().find(|network| to.networks.contains(network));
        let reason = match shared {
            Some(network) => format!("{} is on {network} too", to.name),
            None => format!("{} and {} are on no common network", from.name, to.name),
        };
        let tried = format!("{} tried {} port {}", from.name, to.name, question.port);
        Ok(ReachAnswer { reached: shared.is_some(), micros: 85, steps: vec![tried, reason] })
    }

    pub(super) fn list_volumes(&self, sizes: bool) -> Result<Vec<VolumeInfo>> {
        let state = self.answering()?;
        let mut list = state.volumes.clone();
        for volume in &mut list {
            volume.size = volume.size.filter(|_| sizes);
            for container in &state.containers {
                let mounts = container.mounts.iter().filter(|mount| {
                    mount.kind == MountKind::Volume && mount.name.as_ref() == Some(&volume.name)
                });
                volume.users.extend(mounts.map(|mount| VolumeUser {
                    container: container.id.clone(),
                    name: container.name.clone(),
                    destination: mount.destination.clone(),
                    writable: mount.writable,
                    running: container.status.is_alive(),
                }));
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    pub(super) fn find_volume(&self, name: &str) -> Result<VolumeInfo> {
        let found = self.list_volumes(true)?.into_iter().find(|volume| volume.name == name);
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("get {name}: no such volume")))
    }

    pub(super) fn files_of(&self, volume: &str, path: &Path) -> Result<Vec<FileEntry>> {
        self.find_volume(volume)?;
        match path.to_str() {
            Some("") if volume == "shop_pgdata" => Ok(vec![
                entry("base", FileKind::Folder, 4096, 0o700),
                entry("pg_wal", FileKind::Folder, 4096, 0o700),
                entry("PG_VERSION", FileKind::File, 3, 0o600),
                entry("core\u{1b}[2J", FileKind::File, 9 << 20, 0o600),
                entry("current", FileKind::Link, 6, 0o777),
                entry("postgresql.conf", FileKind::File, CONFIG.len() as u64, 0o600),
                entry("socket", FileKind::Other, 0, 0o777),
            ]),
            Some("base") => Ok(vec![entry("1", FileKind::Folder, 4096, 0o700)]),
            Some("" | "pg_wal" | "base/1") => Ok(Vec::new()),
            _ => Err(no_such("file", &path.to_string_lossy())),
        }
    }

    pub(super) fn head_of(&self, volume: &str, path: &Path, most: usize) -> Result<FileHead> {
        self.find_volume(volume)?;
        let bytes = match path.to_str() {
            Some("PG_VERSION") => b"17\n".to_vec(),
            Some("postgresql.conf") => CONFIG.as_bytes().to_vec(),
            Some(name) if name.starts_with("core") => b"\x7fELF\0\0".to_vec(),
            _ => return Err(no_such("file", &path.to_string_lossy())),
        };
        let size = bytes.len() as u64;
        Ok(FileHead { bytes: bytes.into_iter().take(most).collect(), size })
    }

    pub(super) fn create_network(&self, options: NetworkCreateOptions) -> Result<Outcome> {
        let taken = self.answering()?.networks.iter().any(|n| n.name == options.name);
        if taken {
            let text = format!("network with name {} already exists", options.name);
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let number = u8::try_from(self.lock().networks.len() + 1).unwrap_or(u8::MAX);
        let mut made = network(number, &options.name, options.internal);
        if !options.pools.is_empty() {
            made.pools = options.pools;
        }
        let id = made.id.clone();
        self.put_network(made);
        self.tell(EventKind::Network, "create", &id);
        Ok(Outcome::NetworkCreated { id, warnings: Vec::new() })
    }

    pub(super) fn remove_network(&self, name: &str) -> Result<Outcome> {
        let found = self.find_network(name)?;
        if !found.endpoints.is_empty() {
            let text = format!(
                "error while removing network: network {} has active endpoints",
                found.name
            );
            return Err(Error::new(ErrorKind::Denied, text));
        }
        self.lock().networks.retain(|network| network.id != found.id);
        self.tell(EventKind::Network, "destroy", &found.id);
        Ok(Outcome::Done)
    }

    pub(super) fn connect(&self, container: &str, name: &str) -> Result<Outcome> {
        let (id, network) = (self.find(container)?.id, self.find_network(name)?);
        for found in self.lock().containers.iter_mut().filter(|c| c.id == id) {
            attach(found, &network);
        }
        self.tell(EventKind::Network, "connect", &network.id);
        Ok(Outcome::Done)
    }

    pub(super) fn disconnect(&self, container: &str, name: &str) -> Result<Outcome> {
        let (id, network) = (self.find(container)?.id, self.find_network(name)?);
        for found in self.lock().containers.iter_mut().filter(|c| c.id == id) {
            found.networks.retain(|on| *on != network.name);
            found.endpoints.retain(|endpoint| endpoint.network != network.name);
        }
        self.tell(EventKind::Network, "disconnect", &network.id);
        Ok(Outcome::Done)
    }

    pub(super) fn prune_networks(&self) -> Result<Outcome> {
        let mut deleted = Vec::new();
        for network in self.list_networks()? {
            let own = matches!(network.name.as_str(), "bridge" | "host" | "none");
            if !own && network.endpoints.is_empty() {
                self.remove_network(&network.id)?;
                deleted.push(network.name);
            }
        }
        Ok(Outcome::NetworksPruned { deleted, failed: Vec::new() })
    }

    pub(super) fn create_volume(&self, options: VolumeCreateOptions) -> Result<Outcome> {
        let name = options.name.unwrap_or_else(|| "ab".repeat(32));
        let made = volume(&name, 0);
        self.put_volume(made.clone());
        self.tell(EventKind::Volume, "create", &name);
        Ok(Outcome::VolumeCreated(Box::new(made)))
    }

    pub(super) fn remove_volume(&self, name: &str) -> Result<Outcome> {
        let found = self.find_volume(name)?;
        if let Some(user) = found.users.first() {
            let text = format!("remove {name}: volume is in use - [{}]", user.container);
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        self.lock().volumes.retain(|volume| volume.name != name);
        self.tell(EventKind::Volume, "destroy", name);
        Ok(Outcome::Done)
    }

    pub(super) fn prune_volumes(&self, all: bool) -> Result<Outcome> {
        let (mut deleted, mut reclaimed) = (Vec::new(), 0);
        for volume in self.list_volumes(true)? {
            if volume.users.is_empty() && (all || volume.anonymous) {
                self.remove_volume(&volume.name)?;
                reclaimed += volume.size.unwrap_or_default();
                deleted.push(volume.name);
            }
        }
        Ok(Outcome::VolumesPruned { deleted, reclaimed, failed: Vec::new() })
    }

    /// Returns the same bytes for a volume each time.
    pub(super) fn archive_of(&self, name: &str) -> Result<bytes::Bytes> {
        let found = self.find_volume(name)?;
        let path = PathBuf::from(found.mountpoint);
        Ok(bytes::Bytes::from(path.display().to_string().repeat(64)))
    }
}
