//! `oci exec`: a further program in a container.

use wharf_engine::oci::ExecOptions;

use super::{number, path, seal, with_runtime};
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};

pub(super) static VERB: Verb = Verb {
    name: "oci exec",
    paths: &["oci exec"],
    usage: "[OPTIONS] ID [COMMAND [ARG...]]",
    about: "Run a further program in a container",
    group: Group::System,
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[&[
        Flag::list("additional-gids", "gid", "A further group").short('g'),
        Flag::value("apparmor", "name", "The AppArmor profile"),
        Flag::list("cap", "name", "A further capability: CAP_CHOWN").short('c'),
        Flag::value("cgroup", "path", "A control group below the container's to run in"),
        Flag::value("console-socket", "path", "Where the terminal's master is sent"),
        Flag::value("cwd", "path", "Where the program begins"),
        Flag::switch("detach", "Return once it runs").short('d'),
        Flag::list("env", "list", "Set an environment variable").short('e'),
        Flag::switch("ignore-paused", "Begin in a paused container, too"),
        Flag::switch("no-new-privs", "Let no execution give it rights"),
        Flag::value("pid-file", "path", "Write its number to a file"),
        Flag::value("preserve-fds", "int", "Pass so many descriptors from 3 on to the program"),
        Flag::value("process", "path", "A file with a process document").short('p'),
        Flag::switch("tty", "Give it a terminal").short('t'),
        Flag::value("user", "uid[:gid]", "Whom it runs as").short('u'),
    ]],
    missing: &[("pidfd-socket", None), ("process-label", None)],
    run,
};

/// What a failed `exec` ends with: programs have other codes.
const FAILED: i32 = 255;

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let text = |name: &str| parsed.last(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let all = |name: &'static str| parsed.all(name).map(str::to_owned).collect::<Vec<_>>();
    let gids = parsed.all("additional-gids").map(|gid| {
        gid.parse().map_err(|_| {
            Failure::new(FAILED, format!("invalid argument {gid:?} for --additional-gids"))
        })
    });
    let options = ExecOptions {
        id: parsed.argument(0).unwrap_or_default().to_owned(),
        process: path(parsed, "process"),
        args: parsed.arguments.get(1..).unwrap_or_default().to_vec(),
        tty: parsed.on("tty"),
        cwd: text("cwd"),
        env: all("env"),
        user: text("user"),
        additional_gids: gids.collect::<Result<_, _>>()?,
        capabilities: all("cap"),
        no_new_privileges: parsed.on("no-new-privs"),
        apparmor: text("apparmor"),
        detach: parsed.on("detach"),
        console_socket: path(parsed, "console-socket"),
        pid_file: path(parsed, "pid-file"),
        preserve_fds: number(parsed, "preserve-fds")?.unwrap_or(0),
        ignore_paused: parsed.on("ignore-paused"),
        cgroup: text("cgroup"),
    };
    if options.process.is_none() && options.args.is_empty() {
        return Err(
            Failure::new(FAILED, "exec needs a command, or --process with a document").into()
        );
    }
    seal()?;
    with_runtime(call, |runtime| runtime.exec(&options))
        .map_err(|error| Failure::new(FAILED, format!("exec failed: {error:#}")).into())
}
