//! The kernel: cgroups, links, the firewall and mounts.

use std::collections::{BTreeMap, BTreeSet};

use rustix::mount::UnmountFlags;
use wharf_cgroup::{Group, Layout};
use wharf_model::ContainerId;

use super::{Area, Check, beyond_repair, finding};
use crate::channel::Request;
use crate::mount_table::MountTable;
use crate::network;
use crate::network::check::{Fault, faults, mend};
use crate::state::Record;
use crate::supervisor::{cgroup_name, default_cgroup, remove_group};
use crate::{Error, Result};

impl Check<'_> {
    /// Cgroups, with processes or without, of containers that don't run. Those of other roots are in
    /// the same folder: only what is known to be of this one is judged.
    pub(super) fn groups(&mut self, records: &BTreeMap<ContainerId, Record>) -> Result<()> {
        let failed = |cause| Error::failed("cgroups", cause);
        let layout = Layout::detect().map_err(failed)?;
        let here: BTreeSet<String> =
            wharf_cgroup::list(&layout, "wharf").map_err(failed)?.into_iter().collect();
        let mut ids: BTreeSet<ContainerId> = records.keys().cloned().collect();
        if let Ok(entries) = std::fs::read_dir(self.paths().root().join("containers")) {
            ids.extend(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()));
        }
        for id in ids {
            let name = records.get(&id).map_or_else(|| default_cgroup(&id), cgroup_name);
            // One that asked for another parent is looked for by its name alone.
            if name == default_cgroup(&id) && !here.contains(&name) {
                continue;
            }
            self.idle(&id, |check, record| {
                if record.is_some_and(|record| record.observed.state.status.is_alive()) {
                    return Ok(());
                }
                let Ok(group) = Group::open(&layout, &name) else { return Ok(()) };
                let processes = group.processes().map_err(failed)?.len();
                let problem = match processes {
                    0 => "its container doesn't run".to_owned(),
                    n => format!("{n} processes run in it without a supervisor"),
                };
                let mending = check.repair.then(|| {
                    remove_group(&group)?;
                    check.store.settle("cgroup", &name)
                });
                check.add(finding(Area::Kernel, format!("cgroup {name}"), problem, mending));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Returns the running containers that may be on networks, with their first processes.
    fn bridged(&self) -> Result<BTreeMap<ContainerId, i32>> {
        let records = self.records()?;
        Ok(records
            .into_values()
            .filter(|record| record.observed.state.status.is_alive())
            .filter(|record| record.spec.host.network_mode.is_private())
            .filter_map(|record| Some((record.id, record.observed.state.pid?)))
            .collect())
    }

    /// Bridge, links, firewall and forwarding. A start makes its part before the row says "running",
    /// and an end unmakes its part afterwards: what is wrong for a container that ran before and
    /// after the question, and whose process is there still, is truly wrong.
    pub(super) fn network(&mut self) -> Result<()> {
        for network in network::cut_short(self.store)? {
            let mending = self.repair.then(|| network::finish_removals(self.store));
            let object = format!("network {}", network.name);
            self.add(finding(Area::Kernel, object, "its removal was cut short", mending));
        }
        let before = self.bridged()?;
        let ids: Vec<ContainerId> = before.keys().cloned().collect();
        let owned = |store: &crate::state::Store| -> Result<BTreeSet<String>> {
            let keys = store.journalled()?.into_iter();
            Ok(keys.filter(|(kind, ..)| kind == "link").map(|(_, key, _)| key).collect())
        };
        let ask = |check: &Self, ids: &[ContainerId]| -> Result<Vec<Fault>> {
            let found = faults(check.store, ids, &|_| true)?;
            // The links first, then who owns them: a start notes a link before it makes it, an end
            // deletes it before it forgets it.
            let strays = faults(check.store, &[], &|_| false)?;
            let owned = owned(check.store)?;
            let unowned = |fault: &Fault| match fault {
                Fault::LinkStray(link) => !owned.contains(link),
                _ => false,
            };
            Ok(found.into_iter().chain(strays.into_iter().filter(unowned)).collect())
        };
        let first = ask(self, &ids)?;
        if first.is_empty() {
            return Ok(());
        }
        // A supervisor that is changing its container's networks is of two minds until it answers.
        for record in self.records()?.values().filter(|record| before.contains_key(&record.id)) {
            // One without an answer has ended, which is seen below.
            let _ = self.engine.ask(record, &Request::Process);
        }
        let after = self.bridged()?;
        let alive = |id: &ContainerId, pid: &i32| {
            after.get(id) == Some(pid)
                && std::fs::exists(format!("/proc/{pid}/ns/net")).unwrap_or(false)
        };
        let still: Vec<ContainerId> =
            before.iter().filter(|(id, pid)| alive(id, pid)).map(|(id, _)| id.clone()).collect();
        let again: BTreeSet<Fault> = ask(self, &still)?.into_iter().collect();
        for fault in first.into_iter().filter(|fault| again.contains(fault)) {
            let names = |id: &ContainerId| match self.store.container(id.as_str()) {
                Ok(record) => record.name,
                Err(_) => id.short().to_owned(),
            };
            let (object, problem) = match &fault {
                Fault::Bridge(name) => (
                    format!("bridge {name}"),
                    "is gone or down, though containers run on it".to_owned(),
                ),
                Fault::Forwarding => (
                    "/proc/sys/net/ipv4/ip_forward".to_owned(),
                    "is off: containers reach nobody outside".to_owned(),
                ),
                Fault::Firewall(table, problem) => {
                    (format!("firewall table inet {table}"), problem.clone())
                }
                Fault::Foreign(bridge) => (
                    format!("bridge {bridge}"),
                    "is cut off by docker's firewall, which was set up after it".to_owned(),
                ),
                Fault::LinkGone(id, link) => {
                    if !still.contains(id) {
                        continue;
                    }
                    let way_out = format!("restart it: 'wharf restart {}'", names(id));
                    let problem = format!("is gone, though container {} runs", names(id));
                    let object = format!("link {link}");
                    self.add(beyond_repair(Area::Kernel, object, problem, way_out));
                    continue;
                }
                Fault::LinkLoose(id, link) => (
                    format!("link {link}"),
                    format!("of container {} is down or not in its bridge", names(id)),
                ),
                Fault::LinkStray(link) => {
                    (format!("link {link}"), "is in the bridge, but no container has it".to_owned())
                }
            };
            let mending = self.repair.then(|| mend(self.store, &fault));
            self.add(finding(Area::Kernel, object, problem, mending));
        }
        Ok(())
    }

    /// Mounts below the engine's folders: the engine makes none that the host can see.
    pub(super) fn mounts(&mut self) -> Result<()> {
        let root = self.paths().root().to_path_buf();
        let below: Vec<_> =
            ["containers", "layers", "tmp"].iter().map(|name| root.join(name)).collect();
        // The innermost first: those that came last.
        for mounted in MountTable::read()?.mounts().rev() {
            let path = &mounted.point();
            if !below.iter().any(|folder| path.starts_with(folder) && path != folder) {
                continue;
            }
            let mending = self.repair.then(|| {
                rustix::mount::unmount(path, UnmountFlags::DETACH).map_err(|cause| {
                    Error::failed(format_args!("unmount {}", path.display()), cause)
                })
            });
            let problem = "is mounted, which the engine never does where the host sees it";
            self.add(finding(Area::Kernel, path.display().to_string(), problem, mending));
        }
        Ok(())
    }
}
