//! Looking at containers: `state`, `list`, `ps`.

use serde_json::{Value, json};
use wharf_cgroup::Group;
use wharf_model::{ErrorKind, TopTable};

use super::life::not_running;
use super::spec;
use super::store::{Record, Runtime, Status, group};
use crate::container::top::table;
use crate::{Error, Result};

impl Runtime {
    /// Returns the state document of a container.
    ///
    /// # Errors
    /// When there is none.
    pub fn state(&self, id: &str) -> Result<Value> {
        let record = self.record(id)?;
        let status = self.status(&record)?;
        let pid = if status == Status::Stopped { 0 } else { record.pid };
        let mut document = json!({
            "ociVersion": spec::VERSION,
            "id": record.id,
            "pid": pid,
            "status": status.as_str(),
            "bundle": record.bundle,
            "rootfs": record.rootfs,
            "created": record.created,
        });
        let annotations = self.config(id).map(|config| config.annotations).unwrap_or_default();
        if !annotations.is_empty() {
            document["annotations"] = json!(annotations);
        }
        document["owner"] = owner(record.owner).into();
        Ok(document)
    }

    /// Returns the state documents of all containers, by their ids.
    ///
    /// # Errors
    /// When the root can't be read.
    pub fn list(&self) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        for id in self.ids()? {
            match self.state(&id) {
                Ok(document) => all.push(document),
                // Removed meanwhile, or left of a creation that was killed.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Returns the numbers of a container's processes.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn processes(&self, id: &str) -> Result<Vec<i32>> {
        let record = self.record(id)?;
        if matches!(self.status(&record)?, Status::Stopped | Status::Creating) {
            return Err(not_running());
        }
        processes_of(&record, group(&record)?.as_ref())
    }

    /// Returns a container's processes in the columns of `ps`, whose arguments these are.
    ///
    /// # Errors
    /// When it doesn't run, or an argument isn't known.
    pub fn process_table(&self, id: &str, arguments: &[String]) -> Result<TopTable> {
        table(self.processes(id)?, arguments)
    }
}

/// Returns the numbers of a container's processes: those of its control group, and where there is none,
/// those of its PID namespace.
///
/// # Errors
/// When they can't be listed.
pub(super) fn processes_of(record: &Record, group: Option<&Group>) -> Result<Vec<i32>> {
    let failed = |cause: &dyn std::fmt::Display| {
        Error::failed(format_args!("processes of {}", record.id), cause.to_string())
    };
    if let Some(group) = group {
        return group.processes().map_err(|cause| failed(&cause));
    }
    if !record.own_pids {
        return Ok(vec![record.pid]);
    }
    let space = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(own) = space(record.pid) else { return Ok(Vec::new()) };
    let all = std::fs::read_dir("/proc").map_err(|cause| failed(&cause))?.flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<i32> = numbers.filter(|pid| space(*pid).as_ref() == Some(&own)).collect();
    found.sort_unstable();
    Ok(found)
}

/// Returns the name of a user of the host's, or the number of one that has none.
fn owner(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    // name:password:uid
    let mut users = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = users.find(|fields| fields.get(2).is_some_and(|n| n.parse() == Ok(uid)));
    found.map_or_else(|| uid.to_string(), |fields| fields[0].to_owned())
}
