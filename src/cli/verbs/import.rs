//! `import`: an image from a root filesystem tar.

use std::fs::File;
use std::io;

use wharf_backend::Reader;
use wharf_model::{ImageName, ImportOptions};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print_line};
use crate::connect;

pub(crate) static VERB: Verb = Verb {
    name: "import",
    paths: &["image import"],
    usage: "FILE|- [REPOSITORY[:TAG]]",
    about: "Make an image of a root filesystem tar",
    group: Group::Images,
    arity: Arity::Between(1, 2),
    interspersed: true,
    flags: &[&[
        Flag::list("change", "list", "Make its settings by an instruction of a Dockerfile")
            .short('c'),
        Flag::value("message", "string", "A remark").short('m'),
        Flag::value("platform", "string", "What it is for: os/arch"),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let source = call.parsed.argument(0).unwrap_or_default();
    if source.starts_with("http://") || source.starts_with("https://") {
        return Err(Failure::new(
            1,
            format!(
                "importing from the URL {source} is not supported yet by this version of wharf: \
                 download it and pipe it into 'wharf import -'"
            ),
        )
        .into());
    }
    let name = call
        .parsed
        .argument(1)
        .map(str::parse::<ImageName>)
        .transpose()
        .map_err(|error| Failure::new(1, error.to_string()))?;
    let archive: Reader =
        if source == "-" { Box::new(io::stdin()) } else { Box::new(open(source)?) };
    let options = ImportOptions {
        name,
        changes: call.parsed.all("change").map(str::to_owned).collect(),
        message: call.parsed.last("message").unwrap_or_default().to_owned(),
        platform: call.parsed.last("platform").filter(|text| !text.is_empty()).map(str::to_owned),
    };
    connect::enter(&call.target)?;
    connect::tell_of_namespace();
    call.over_engine(async |backend| {
        let id = backend.import(archive, options).await?;
        print_line(id.as_str())?;
        Ok(0)
    })
}

/// Opens an archive.
pub(super) fn open(path: &str) -> Result<File, Failure> {
    File::open(path).map_err(|error| {
        // Without the number that Rust puts behind it.
        let text = error.to_string();
        let why = text.split(" (os error").next().unwrap_or_default();
        Failure::new(1, format!("open {path}: {why}"))
    })
}
