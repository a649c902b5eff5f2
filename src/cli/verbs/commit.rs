//! `commit`: an image of a container.

use anyhow::anyhow;
use wharf_model::{Command, CommitOptions, ImageName, Outcome};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print_line};

pub(crate) static VERB: Verb = Verb {
    name: "commit",
    paths: &["container commit"],
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    about: "Make an image of a container and what it changed",
    group: Group::Images,
    arity: Arity::Between(1, 2),
    interspersed: true,
    flags: &[&[
        Flag::value("author", "string", "Who made it (John Hannibal Smith <hannibal@a-team.com>)")
            .short('a'),
        Flag::list("change", "list", "Change the image by an instruction of a Dockerfile")
            .short('c'),
        Flag::value("message", "string", "A remark").short('m'),
        Flag::switch("pause", "Let the container stand still meanwhile (true)").short('p'),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let text = |flag: &str| parsed.last(flag).unwrap_or_default().to_owned();
    let name = parsed
        .argument(1)
        .filter(|name| !name.is_empty())
        .map(str::parse::<ImageName>)
        .transpose()
        .map_err(|error| Failure::new(1, error.to_string()))?;
    let options = CommitOptions {
        container: parsed.argument(0).unwrap_or_default().to_owned(),
        name,
        author: text("author"),
        message: text("message"),
        pause: parsed.last("pause") != Some("false"),
        changes: parsed.all("change").map(str::to_owned).collect(),
        config: None,
    };
    call.over_engine(async |backend| {
        match backend.execute(Command::Commit(Box::new(options))).await? {
            Outcome::Committed(id) => print_line(id.as_str())?,
            other => return Err(anyhow!("commit answered {other:?}")),
        }
        Ok(0)
    })
}
