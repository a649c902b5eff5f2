//! `debug`: a program of a toolbox image in a running container, whose own image may have no shell.

use wharf_model::{ExecSpec, TOOLBOX_IMAGE};

use super::exec::attend;
use crate::args::create::{file_environment, flag_environment};
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::connect;
use crate::session::{Keys, terminal};

pub(crate) static VERB: Verb = Verb {
    name: "debug",
    paths: &["container debug"],
    usage: "[OPTIONS] CONTAINER [COMMAND] [ARG...]",
    about: "Open a shell with another image's tools in a running container",
    group: Group::Run,
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[&[
        Flag::value("detach-keys", "string", "The keys that leave it (ctrl-p,ctrl-q)"),
        Flag::list("env", "list", "Set an environment variable").short('e'),
        Flag::list("env-file", "list", "Read environment variables from a file"),
        Flag::value("image", "string", "The image of the tools (toolbox-image, else busybox)"),
        Flag::switch("privileged", "Lift all protection"),
        Flag::value("user", "string", "User, or UID, and group of the tools' image (0:0)")
            .short('u'),
        Flag::value("workdir", "string", "Its working directory (/target: the container's root)")
            .short('w'),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let keys = Keys::parse(parsed.last("detach-keys")).map_err(Failure::usage)?;
    let lookup = |name: &str| std::env::var(name).ok();
    let mut env = file_environment(parsed, &lookup)?;
    env.extend(flag_environment(parsed, &lookup)?);
    let given = |flag: &str| parsed.last(flag).filter(|value| !value.is_empty()).map(str::to_owned);
    // Only a mistake in it is of interest here, and the dashboard tells of that.
    let (config, _) = connect::settings(&lookup);
    let image = given("image").or(config.toolbox_image);
    let spec = ExecSpec {
        id: String::new(),
        command: parsed.arguments.iter().skip(1).cloned().collect(),
        env,
        user: given("user"),
        working_dir: given("workdir"),
        tty: terminal::stdin_is_terminal() && terminal::stdout_is_terminal(),
        stdin: true,
        detach: false,
        privileged: parsed.on("privileged"),
        toolbox: Some(image.unwrap_or_else(|| TOOLBOX_IMAGE.to_owned())),
    };
    attend(call, spec, keys)
}
