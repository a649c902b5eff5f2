//! System call profiles in docker's JSON form: the engine's own and those of `--security-opt
//! seccomp=FILE`.

use serde::{Deserialize, Deserializer};
use wharf_model::ErrorKind;

use super::capabilities::CapSet;
use crate::{Error, Result};

/// What a call that meets a rule, or none, leads to.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum Action {
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_KILL", alias = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operator {
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    /// The argument, cut to the bits of the value, equals the second value.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

/// A condition on one argument of a call.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct Argument {
    pub(super) index: u32,
    pub(super) value: u64,
    #[serde(default)]
    pub(super) value_two: u64,
    pub(super) op: Operator,
}

/// Where a rule applies.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Place {
    #[serde(deserialize_with = "or_empty")]
    caps: Vec<String>,
    #[serde(deserialize_with = "or_empty")]
    arches: Vec<String>,
    min_kernel: Option<String>,
}

/// What happens to some calls.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    #[serde(default, deserialize_with = "or_empty")]
    names: Vec<String>,
    #[serde(default)]
    name: String,
    pub(super) action: Action,
    pub(super) errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) args: Vec<Argument>,
    #[serde(default, deserialize_with = "or_empty")]
    includes: Place,
    #[serde(default, deserialize_with = "or_empty")]
    excludes: Place,
}

/// A profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Profile {
    /// None together with no rule is no filter.
    pub(super) default_action: Option<Action>,
    pub(super) default_errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "or_empty")]
    architectures: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    arch_map: Vec<serde_json::Value>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) flags: Vec<String>,
    #[serde(default)]
    listener_path: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) syscalls: Vec<Rule>,
}

/// Go writes `null` for what is empty.
fn or_empty<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The architecture in Go's words, which profiles use.
const ARCHITECTURE: &str = "amd64";

/// What rules may depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    pub(super) capabilities: CapSet,
    /// The kernel's version: `(6, 1)`.
    pub(super) kernel: (u32, u32),
}

impl Rule {
    /// Returns the calls it is about.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let single = Some(self.name.as_str()).filter(|name| !name.is_empty());
        self.names.iter().map(String::as_str).chain(single)
    }

    /// Returns whether it applies here.
    pub(super) fn applies(&self, around: Surroundings) -> bool {
        let has = |name: &String| around.capabilities.contains_name(name);
        let here = |arch: &String| arch == ARCHITECTURE;
        let reached = |version: &String| numbers(version).is_some_and(|v| around.kernel >= v);
        let (with, without) = (&self.includes, &self.excludes);
        (with.arches.is_empty() || with.arches.iter().any(here))
            && with.caps.iter().all(has)
            && with.min_kernel.as_ref().is_none_or(reached)
            && !without.arches.iter().any(here)
            && !without.caps.iter().any(has)
            && !without.min_kernel.as_ref().is_some_and(reached)
    }
}

/// Returns the first two numbers of a version.
pub(super) fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// When it isn't one, or asks for what this engine can't do.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid = |reason: String| {
            Error::new(ErrorKind::Invalid, format!("Decoding seccomp profile failed: {reason}"))
        };
        let profile: Self =
            serde_json::from_str(text).map_err(|cause| invalid(cause.to_string()))?;
        if !profile.architectures.is_empty() && !profile.arch_map.is_empty() {
            return Err(invalid(
                "both 'architectures' and 'archMap' are specified in the seccomp profile, use \
                 either 'architectures' or 'archMap'"
                    .to_owned(),
            ));
        }
        let named = |rule: &&Rule| !rule.name.is_empty() && !rule.names.is_empty();
        if let Some(rule) = profile.syscalls.iter().find(named) {
            return Err(invalid(format!(
                "'name' ({}) and 'names' ({}) were specified in the seccomp profile, use either \
                 'name' or 'names'",
                rule.name,
                rule.names.join(", ")
            )));
        }
        if let Some(argument) =
            profile.syscalls.iter().flat_map(|rule| &rule.args).find(|a| a.index > 5)
        {
            let index = argument.index;
            return Err(invalid(format!("a system call has no argument {index}, only 0 to 5")));
        }
        if profile.default_action.is_none() && !profile.syscalls.is_empty() {
            return Err(invalid("it has no 'defaultAction'".to_owned()));
        }
        Ok(profile)
    }

    /// Returns whether it leaves calls to somebody who listens.
    pub(super) fn notifies(&self) -> bool {
        let actions = self.default_action.into_iter();
        let mut actions = actions.chain(self.syscalls.iter().map(|rule| rule.action));
        actions.any(|action| action == Action::Notify)
    }

    /// Refuses a profile that needs somebody who listens.
    ///
    /// # Errors
    /// When it does.
    pub(super) fn refuse_notification(&self) -> Result<()> {
        if !self.notifies() && self.listener_path.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            "seccomp profile: SCMP_ACT_NOTIFY is not supported yet by this version of wharf",
        ))
    }
}
