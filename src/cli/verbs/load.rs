//! `load`: images from an archive.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use super::import::open;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print_line};
use crate::connect;

pub(crate) static VERB: Verb = Verb {
    name: "load",
    paths: &["image load"],
    usage: "[OPTIONS]",
    about: "Load images from an archive of docker or OCI form",
    group: Group::Images,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::value("input", "string", "Read this file instead of standard input").short('i'),
        Flag::value("platform", "string", "Of images for several, that for this: os/arch"),
        Flag::switch("quiet", "Show no progress").short('q'),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let archive = match call.parsed.last("input") {
        Some(path) if !path.is_empty() => open(path)?,
        _ if io::stdin().is_terminal() => {
            return Err(Failure::new(1, "requested load from stdin, but stdin is empty").into());
        }
        // Not through the standard library's buffer: it may be a file that can be sought in.
        _ => File::from(io::stdin().as_fd().try_clone_to_owned()?),
    };
    connect::enter(&call.target)?;
    connect::tell_of_namespace();
    let platform = call.parsed.last("platform").filter(|text| !text.is_empty());
    call.over_engine(async |backend| {
        for line in backend.load(archive, platform).await? {
            print_line(&line)?;
        }
        Ok(0)
    })
}
