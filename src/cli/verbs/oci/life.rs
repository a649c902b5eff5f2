//! `oci start`, `kill`, `delete`, `pause` and `resume`.

use super::with_runtime;
use crate::args::{Arity, Flag, Group, Verb, signals};
use crate::call::{Call, Failure};

/// A verb about one container.
const fn about_one(
    name: &'static str,
    paths: &'static [&'static str],
    about: &'static str,
    run: fn(&Call) -> anyhow::Result<i32>,
) -> Verb {
    Verb {
        name,
        paths,
        usage: "ID",
        about,
        group: Group::System,
        arity: Arity::Exactly(1),
        interspersed: true,
        flags: &[],
        missing: &[],
        run,
    }
}

pub(super) static START: Verb =
    about_one("oci start", &["oci start"], "Start the program of a created container", |call| {
        with_runtime(call, |runtime| runtime.start(id(call))).map(|()| 0)
    });

pub(super) static PAUSE: Verb =
    about_one("oci pause", &["oci pause"], "Freeze all processes of a container", |call| {
        with_runtime(call, |runtime| runtime.pause(id(call))).map(|()| 0)
    });

pub(super) static RESUME: Verb =
    about_one("oci resume", &["oci resume"], "Let a paused container go on", |call| {
        with_runtime(call, |runtime| runtime.resume(id(call))).map(|()| 0)
    });

pub(super) static KILL: Verb = Verb {
    usage: "[OPTIONS] ID [SIGNAL]",
    arity: Arity::Between(1, 2),
    flags: &[&[Flag::switch("all", "Signal all processes of it").short('a')]],
    ..about_one("oci kill", &["oci kill"], "Signal the first process of a container", kill)
};

pub(super) static DELETE: Verb = Verb {
    usage: "[OPTIONS] ID",
    flags: &[&[Flag::switch("force", "End it first if it runs").short('f')]],
    ..about_one("oci delete", &["oci delete"], "Remove a container", |call| {
        let force = call.parsed.on("force");
        with_runtime(call, |runtime| runtime.delete(id(call), force)).map(|()| 0)
    })
};

/// Returns the container that a call is about.
pub(super) fn id(call: &Call) -> &str {
    call.parsed.argument(0).unwrap_or_default()
}

fn kill(call: &Call) -> anyhow::Result<i32> {
    let signal = match call.parsed.argument(1).unwrap_or("TERM") {
        // None: it is only asked whether there is somebody to be signalled.
        "0" => 0,
        name => signals::signal(name).map_err(|reason| Failure::new(1, reason))?,
    };
    let all = call.parsed.on("all");
    with_runtime(call, |runtime| runtime.kill(id(call), signal, all)).map(|()| 0)
}
