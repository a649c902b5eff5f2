//! `update`: other limits for a container that is there.

use serde_json::Value;
use wharf_model::ErrorKind;

use super::life::{no_group, not_running};
use super::resources;
use super::spec::Resources;
use super::store::{Runtime, Status, group};
use crate::{Error, Result};

impl Runtime {
    /// Changes the limits that `wanted`, a `linux.resources` document, names; all others stay. Rules
    /// about devices stay as they are, as with the other runtimes.
    ///
    /// # Errors
    /// When the container doesn't run, the document is none, or a limit is refused; all limits that
    /// docker has names for are then as they were.
    pub fn update(&self, id: &str, wanted: &Value) -> Result<()> {
        let held = self.hold(id)?;
        if self.status(&held.record)? == Status::Stopped {
            return Err(not_running());
        }
        let parse = |value: Value| {
            serde_json::from_value::<Resources>(value)
                .map_err(|cause| Error::new(ErrorKind::Invalid, format!("resources: {cause}")))
        };
        let mut config = self.config(id)?;
        let before = config.linux.resources.clone().unwrap_or_default();
        let mut document = serde_json::to_value(&before)
            .map_err(|cause| Error::failed("read the container's limits", cause))?;
        merge(&mut document, wanted);
        let mut after = parse(document)?;
        after.devices.clone_from(&before.devices);
        let group = group(&held.record)?.ok_or_else(|| no_group("update"))?;
        let about = |cause: wharf_cgroup::Error| {
            Error::new(cause.kind(), format!("update container {id}: {cause}"))
        };
        let further = resources::further(&parse(wanted.clone())?)?;
        group
            .update(&resources::resources(&before)?, &resources::resources(&after)?)
            .map_err(about)?;
        group.limit_further(&further).map_err(about)?;
        config.linux.resources = Some(after);
        held.save_config(&config)
    }
}

/// Puts what a document says into another one, object by object.
fn merge(into: &mut Value, wanted: &Value) {
    match (into, wanted) {
        (Value::Object(into), Value::Object(wanted)) => {
            for (name, value) in wanted.iter().filter(|(_, value)| !value.is_null()) {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, wanted) => into.clone_from(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_document_doesn_t_name_stays() {
        let mut found = json!({"memory": {"limit": 5, "swap": 9}, "cpu": {"cpus": "0"}});
        merge(&mut found, &json!({"memory": {"limit": 7, "swap": null}, "pids": {"limit": 3}}));
        let expected =
            json!({"memory": {"limit": 7, "swap": 9}, "cpu": {"cpus": "0"}, "pids": {"limit": 3}});
        assert_eq!(found, expected);
    }
}
