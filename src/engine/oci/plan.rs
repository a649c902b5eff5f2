//! From a bundle's `config.json` to what its first process does.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use wharf_model::ErrorKind;

use super::hooks::State;
use super::mounts;
use super::namespaces::{Kind, Namespaces};
use super::spec::{Config, Device, IdMapping};
use super::{check, process};
use crate::init::bundle::Bundle;
use crate::init::devices::Node;
use crate::init::mounts::standard_devices;
use crate::userns::{self, IdMap, Range};
use crate::{Error, Result};

/// What a container is created from.
pub(super) struct Source<'a> {
    pub(super) id: &'a str,
    pub(super) config: &'a Config,
    /// The bundle's folder, an absolute path.
    pub(super) bundle: &'a Path,
    pub(super) cgroup: &'a str,
    pub(super) no_pivot: bool,
    pub(super) new_keyring: bool,
}

/// Returns what the first process has to know.
///
/// # Errors
/// When the configuration is wrong, or wants what can't be done; by name.
pub(super) fn bundle(
    source: &Source<'_>,
    namespaces: &Namespaces,
    preserved: Vec<OwnedFd>,
    listener: OwnedFd,
) -> Result<Bundle> {
    let Source { config, bundle, .. } = source;
    let linux = &config.linux;
    let missing = || Error::new(ErrorKind::Invalid, "process is missing");
    let wanted = config.process.as_ref().ok_or_else(missing)?;
    let remapped = namespaces.is_own(Kind::User);
    Ok(Bundle {
        program: process::program(wanted, linux)?,
        hostname: Some(config.hostname.clone()).filter(|name| !name.is_empty()),
        domainname: config.domainname.clone(),
        terminal: process::terminal(wanted),
        root: root(config, bundle)?,
        read_only: config.root.as_ref().is_some_and(|root| root.readonly),
        propagation: propagation(&linux.rootfs_propagation)?,
        no_pivot: source.no_pivot,
        mounts: config
            .mounts
            .iter()
            .map(|mount| mounts::listed(mount, bundle))
            .collect::<Result<_>>()?,
        mapped: BTreeMap::new(),
        devices: devices(&linux.devices)?,
        masked_paths: linux.masked_paths.iter().map(PathBuf::from).collect(),
        read_only_paths: linux.readonly_paths.iter().map(PathBuf::from).collect(),
        sysctls: linux.sysctl.clone(),
        awaits_maps: namespaces.is_new(Kind::User),
        nested: remapped || userns::is_nested(),
        remapped,
        own_cgroups: namespaces.is_new(Kind::Cgroup),
        cgroup: source.cgroup.to_owned(),
        new_keyring: source.new_keyring,
        hooks: config.hooks.clone(),
        state: state(source),
        preserved,
        listener: Cell::new(Some(listener)),
        pid: Cell::new(0),
        may_notify: process::listener(linux).is_some(),
    })
}

/// Returns what hooks are told.
pub(super) fn state(source: &Source<'_>) -> State {
    State {
        id: source.id.to_owned(),
        bundle: source.bundle.display().to_string(),
        annotations: source.config.annotations.clone(),
    }
}

/// Returns the folder of the root filesystem.
pub(super) fn root(config: &Config, bundle: &Path) -> Result<PathBuf> {
    let path = config.root.as_ref().map_or("", |root| root.path.as_str());
    let path = bundle.join(path);
    let failed = |why: &dyn std::fmt::Display| {
        let text = format!("root.path {}: {why}", path.display());
        Error::new(ErrorKind::Invalid, text)
    };
    let found = std::fs::canonicalize(&path).map_err(|cause| failed(&cause))?;
    match found.is_dir() {
        true if found == Path::new("/") => {
            Err(failed(&"the host's own root can't be a container's"))
        }
        true => Ok(found),
        false => Err(failed(&"not a directory")),
    }
}

fn propagation(word: &str) -> Result<Option<rustix::mount::MountPropagationFlags>> {
    if word.is_empty() {
        return Ok(None);
    }
    let found = mounts::propagation(word).ok_or_else(|| {
        let text = format!("linux.rootfsPropagation: there is no {word:?}");
        Error::new(ErrorKind::Invalid, text)
    });
    found.map(Some)
}

/// Returns the devices that every container has, and those that are listed, in whose place none of the
/// others is.
fn devices(listed: &[Device]) -> Result<Vec<Node>> {
    let own = listed.iter().map(device).collect::<Result<Vec<_>>>()?;
    let standard =
        standard_devices().filter(|node| own.iter().all(|own| own.path() != node.path()));
    Ok(standard.chain(own.iter().cloned()).collect())
}

fn device(device: &Device) -> Result<Node> {
    let refuse = |why: &str| {
        let text = format!("linux.devices: {}: {why}", device.path);
        Err(Error::new(ErrorKind::Invalid, text))
    };
    if !device.path.starts_with('/') {
        return refuse("its path must be absolute");
    }
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        _ => return refuse("its type must be c, u, b or p"),
    };
    let number = match (u32::try_from(device.major), u32::try_from(device.minor)) {
        _ if kind == FileType::Fifo => 0,
        (Ok(major), Ok(minor)) => rustix::fs::makedev(major, minor),
        _ => return refuse("it has no number"),
    };
    let mode = device.file_mode.unwrap_or(0o666) & 0o7777;
    Ok(Node::new(PathBuf::from(&device.path), kind, number, mode, (device.uid, device.gid)))
}

/// Returns numbers inside and outside as the kernel wants them.
///
/// # Errors
/// When there are none in a range.
pub(super) fn map(mappings: &[IdMapping]) -> Result<IdMap> {
    let range = |mapping: &IdMapping| {
        if mapping.size == 0 {
            let text = "linux.uidMappings and gidMappings: a size is 0";
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        Ok(Range { inside: mapping.container_id, outside: mapping.host_id, length: mapping.size })
    };
    mappings.iter().map(range).collect::<Result<_>>().map(IdMap)
}

/// Reads the configuration of a bundle.
///
/// # Errors
/// When there is none, or it can't be read.
pub(super) fn read(bundle: &Path) -> Result<(Config, Vec<u8>)> {
    let path = bundle.join("config.json");
    let text = std::fs::read(&path).map_err(|cause| {
        let kind = match cause.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, format!("open {}: {cause}", path.display()))
    })?;
    Ok((parse(&text, &path.display().to_string())?, text))
}

/// Reads a configuration.
///
/// # Errors
/// When it isn't one.
pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &[u8], name: &str) -> Result<T> {
    serde_json::from_slice(text)
        .map_err(|cause| Error::new(ErrorKind::Invalid, format!("{name}: {cause}")))
}

/// Checks a configuration and opens the namespaces that it names.
///
/// # Errors
/// As for [`check::config`].
pub(super) fn checked(config: &Config) -> Result<Namespaces> {
    let namespaces = Namespaces::of(&config.linux)?;
    check::config(config, &namespaces)?;
    Ok(namespaces)
}
