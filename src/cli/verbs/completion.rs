//! `completion`: the script that makes a shell complete this program's command lines.

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::complete::{SHELLS, script};

pub(crate) static VERB: Verb = Verb {
    name: "completion",
    paths: &[],
    usage: "bash|zsh|fish",
    about: "Print the completion script of a shell",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run: |call: &Call| {
        let shell = call.parsed.argument(0).unwrap_or_default();
        let Some(script) = script(shell) else {
            let shells = SHELLS.join(", ");
            let message = format!("no completion for the shell {shell:?}: give one of {shells}");
            return Err(Failure::new(1, message).into());
        };
        print(script)?;
        Ok(0)
    },
};
