//! Mounts, namespaces, names and protection: the model's settings as docker's, and back.

use bollard::models;
use wharf_model::{
    Bind, HostConfig, Mount, MountKind, NamespaceMode, Propagation, ReadOnlyBelow, SeccompMode,
    VolumeMount,
};

/// Returns docker's text for a bind.
pub(super) fn bind_text(bind: &Bind) -> String {
    let colon = if bind.options.is_empty() { "" } else { ":" };
    format!("{}:{}{colon}{}", bind.source, bind.target, bind.options)
}

/// Returns the host path or the volume of `source:target[:options]`.
fn bind(text: &str) -> Option<Bind> {
    let mut parts = text.splitn(3, ':');
    let source = parts.next()?;
    let target = parts.next()?;
    let options = parts.next().unwrap_or_default();
    Some(Bind {
        source: source.to_owned(),
        target: target.to_owned(),
        read_only: options.split(',').any(|option| option == "ro"),
        propagation: options.split(',').find_map(Propagation::from_word).unwrap_or_default(),
        options: options.to_owned(),
    })
}

fn mount_body(mount: Mount) -> models::Mount {
    let below = mount.read_only_below;
    let bind_options = models::MountBindOptions {
        propagation: mount.propagation.and_then(|one| one.as_str().parse().ok()),
        non_recursive: mount.non_recursive.then_some(true),
        create_mountpoint: mount.create_source.then_some(true),
        read_only_non_recursive: (below == ReadOnlyBelow::Never).then_some(true),
        read_only_force_recursive: (below == ReadOnlyBelow::Always).then_some(true),
    };
    let split = |option: &String| option.splitn(2, '=').map(str::to_owned).collect();
    let tmpfs_options = models::MountTmpfsOptions {
        size_bytes: mount.tmpfs_size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
        mode: mount.tmpfs_mode.map(i64::from),
        options: (!mount.tmpfs_options.is_empty())
            .then(|| mount.tmpfs_options.iter().map(split).collect()),
    };
    let asked = mount.volume;
    let driver_config = (!asked.driver.is_empty() || !asked.options.is_empty()).then(|| {
        let options = asked.options.into_iter().collect();
        models::MountVolumeOptionsDriverConfig {
            name: Some(asked.driver).filter(|name| !name.is_empty()),
            options: Some(options),
        }
    });
    let volume_options = models::MountVolumeOptions {
        no_copy: asked.no_copy.then_some(true),
        labels: (!asked.labels.is_empty()).then(|| asked.labels.into_iter().collect()),
        driver_config,
        subpath: Some(asked.subpath).filter(|path| !path.is_empty()),
    };
    models::Mount {
        target: Some(mount.target),
        source: Some(mount.source).filter(|source| !source.is_empty()),
        typ: Some(match mount.kind {
            MountKind::Bind => models::MountType::BIND,
            MountKind::Volume => models::MountType::VOLUME,
            MountKind::Tmpfs => models::MountType::TMPFS,
        }),
        read_only: mount.read_only.then_some(true),
        bind_options: (mount.kind == MountKind::Bind && bind_options != Default::default())
            .then_some(bind_options),
        volume_options: (mount.kind == MountKind::Volume && volume_options != Default::default())
            .then_some(volume_options),
        tmpfs_options: (mount.kind == MountKind::Tmpfs && tmpfs_options != Default::default())
            .then_some(tmpfs_options),
        ..Default::default()
    }
}

fn mount(body: models::Mount) -> Option<Mount> {
    let bind = body.bind_options.unwrap_or_default();
    let memory = body.tmpfs_options.unwrap_or_default();
    let asked = body.volume_options.unwrap_or_default();
    let driver = asked.driver_config.unwrap_or_default();
    let is = |flag: Option<bool>| flag.unwrap_or_default();
    Some(Mount {
        kind: match body.typ? {
            models::MountType::BIND => MountKind::Bind,
            models::MountType::VOLUME => MountKind::Volume,
            models::MountType::TMPFS => MountKind::Tmpfs,
            _ => return None,
        },
        source: body.source.unwrap_or_default(),
        target: body.target.unwrap_or_default(),
        read_only: is(body.read_only),
        propagation: bind.propagation.and_then(|one| Propagation::from_word(one.as_ref())),
        non_recursive: is(bind.non_recursive),
        read_only_below: match (
            is(bind.read_only_non_recursive),
            is(bind.read_only_force_recursive),
        ) {
            (true, _) => ReadOnlyBelow::Never,
            (_, true) => ReadOnlyBelow::Always,
            _ => ReadOnlyBelow::IfPossible,
        },
        create_source: is(bind.create_mountpoint),
        tmpfs_size: memory.size_bytes.and_then(|size| u64::try_from(size).ok()),
        tmpfs_mode: memory.mode.and_then(|mode| u32::try_from(mode).ok()),
        tmpfs_options: memory
            .options
            .unwrap_or_default()
            .into_iter()
            .map(|words| words.join("="))
            .collect(),
        volume: VolumeMount {
            no_copy: is(asked.no_copy),
            labels: asked.labels.unwrap_or_default().into_iter().collect(),
            driver: driver.name.unwrap_or_default(),
            options: driver.options.unwrap_or_default().into_iter().collect(),
            subpath: asked.subpath.unwrap_or_default(),
        },
    })
}

/// Writes the settings into docker's document; what isn't asked for stays out of it.
pub(super) fn write(host: HostConfig, body: &mut models::HostConfig) {
    let filled = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let mode = |mode: &NamespaceMode| Some(mode.to_text("")).filter(|text| !text.is_empty());
    body.binds = Some(host.binds.iter().map(bind_text).collect());
    body.security_opt = filled(host.security_options());
    if host.unconfined_paths {
        body.masked_paths = Some(Vec::new());
        body.readonly_paths = Some(Vec::new());
    }
    body.ipc_mode = mode(&host.ipc_mode);
    body.pid_mode = mode(&host.pid_mode);
    body.uts_mode = mode(&host.uts_mode);
    body.cgroupns_mode = mode(&host.cgroupns_mode).and_then(|text| text.parse().ok());
    body.shm_size = host.shm_size.map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    body.mounts =
        (!host.mounts.is_empty()).then(|| host.mounts.into_iter().map(mount_body).collect());
    body.volumes_from = filled(host.volumes_from);
    body.volume_driver = Some(host.volume_driver).filter(|driver| !driver.is_empty());
    body.group_add = filled(host.group_add);
    body.dns = filled(host.dns);
    body.dns_options = filled(host.dns_options);
    body.dns_search = filled(host.dns_search);
    body.extra_hosts = filled(host.extra_hosts);
    body.container_id_file = Some(host.cidfile).filter(|path| !path.is_empty());
    body.sysctls = (!host.sysctls.is_empty()).then(|| host.sysctls.into_iter().collect());
    body.annotations =
        (!host.annotations.is_empty()).then(|| host.annotations.into_iter().collect());
}

/// Reads them from docker's document.
pub(super) fn read(body: &mut models::HostConfig, host: &mut HostConfig) {
    let mode = |text: Option<String>| {
        text.and_then(|text| NamespaceMode::from_text(&text)).unwrap_or_default()
    };
    let binds = body.binds.take().unwrap_or_default();
    host.binds = binds.iter().filter_map(|text| bind(text)).collect();
    host.mounts = body.mounts.take().unwrap_or_default().into_iter().filter_map(mount).collect();
    host.volumes_from = body.volumes_from.take().unwrap_or_default();
    host.volume_driver = body.volume_driver.take().unwrap_or_default();
    for option in body.security_opt.take().unwrap_or_default() {
        match option.split_once(['=', ':']) {
            None => host.no_new_privileges |= option == "no-new-privileges",
            Some(("no-new-privileges", value)) => host.no_new_privileges = value == "true",
            Some(("seccomp", "unconfined")) => host.seccomp = SeccompMode::Unconfined,
            Some(("seccomp", "builtin")) => {}
            Some(("seccomp", text)) => host.seccomp = SeccompMode::Profile(text.to_owned()),
            Some(("apparmor", profile)) => host.apparmor = Some(profile.to_owned()),
            Some(("label", label)) => host.label.push(label.to_owned()),
            Some(_) => {}
        }
    }
    // Docker writes `null` where nothing is protected because all is.
    let none = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
    host.unconfined_paths = none(&body.masked_paths) && none(&body.readonly_paths);
    host.ipc_mode = mode(body.ipc_mode.take());
    host.pid_mode = mode(body.pid_mode.take());
    host.uts_mode = mode(body.uts_mode.take());
    host.cgroupns_mode = mode(body.cgroupns_mode.take().map(|mode| mode.to_string()));
    host.shm_size = body.shm_size.and_then(|size| u64::try_from(size).ok());
    host.group_add = body.group_add.take().unwrap_or_default();
    host.dns = body.dns.take().unwrap_or_default();
    host.dns_options = body.dns_options.take().unwrap_or_default();
    host.dns_search = body.dns_search.take().unwrap_or_default();
    host.extra_hosts = body.extra_hosts.take().unwrap_or_default();
    host.cidfile = body.container_id_file.take().unwrap_or_default();
    host.sysctls = body.sysctls.take().unwrap_or_default().into_iter().collect();
    host.annotations = body.annotations.take().unwrap_or_default().into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let host = HostConfig {
            binds: vec![Bind {
                source: "/a".into(),
                target: "/b".into(),
                read_only: true,
                propagation: Propagation::Rslave,
                options: "ro,rslave".into(),
            }],
            mounts: vec![
                Mount {
                    source: "/s".into(),
                    target: "/t".into(),
                    read_only: true,
                    propagation: Some(Propagation::Rprivate),
                    read_only_below: ReadOnlyBelow::Always,
                    ..Mount::default()
                },
                Mount {
                    kind: MountKind::Tmpfs,
                    target: "/m".into(),
                    tmpfs_size: Some(1 << 20),
                    tmpfs_mode: Some(0o1770),
                    ..Mount::default()
                },
            ],
            volumes_from: vec!["x:ro".into()],
            no_new_privileges: true,
            seccomp: SeccompMode::Profile("{\"a\":1}".into()),
            unconfined_paths: true,
            label: vec!["disable".into()],
            ipc_mode: NamespaceMode::Container("x".into()),
            pid_mode: NamespaceMode::Host,
            uts_mode: NamespaceMode::Host,
            cgroupns_mode: NamespaceMode::Private,
            shm_size: Some(1 << 20),
            group_add: vec!["7".into()],
            dns: vec!["1.1.1.1".into()],
            dns_search: vec!["a.b".into()],
            dns_options: vec!["rotate".into()],
            extra_hosts: vec!["a:1.2.3.4".into()],
            sysctls: [("net.a".to_owned(), "1".to_owned())].into(),
            annotations: [("k".to_owned(), "v".to_owned())].into(),
            cidfile: "/cid".into(),
            ..HostConfig::default()
        };
        let mut body = models::HostConfig::default();
        write(host.clone(), &mut body);
        let mut back = HostConfig::default();
        read(&mut body, &mut back);
        assert_eq!(back, host);
    }
}
