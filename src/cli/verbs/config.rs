//! `config`: the dashboard's settings.

use std::path::PathBuf;

use wharf_ui::config::{Problem, read, reference};

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::connect::settings_file;

pub(crate) static CHECK: Verb = Verb {
    name: "config check",
    paths: &["config check"],
    usage: "[FILE]",
    about: "Say what is wrong with the dashboard's settings",
    group: Group::Dashboard,
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run: check,
};

pub(crate) static REFERENCE: Verb = Verb {
    name: "config reference",
    paths: &["config reference"],
    usage: "",
    about: "Print a settings file with everything in it, as comments",
    group: Group::Dashboard,
    arity: Arity::None,
    interspersed: true,
    flags: &[],
    missing: &[],
    run: |_: &Call| {
        print(&reference())?;
        Ok(0)
    },
};

/// Returns a problem as compilers tell theirs.
pub(crate) fn told(file: &str, problem: &Problem) -> String {
    let text = crate::format::text::clean(&problem.text);
    format!("{file}:{}:{}: {text}", problem.line, problem.column)
}

fn check(call: &Call) -> anyhow::Result<i32> {
    let usual = || settings_file(&|name: &str| std::env::var(name).ok());
    let file = match call.parsed.argument(0) {
        Some(file) => PathBuf::from(file),
        None => usual().ok_or_else(|| Failure::new(1, "HOME is not set: name the file"))?,
    };
    let shown = file.display().to_string();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(cause)
            if cause.kind() == std::io::ErrorKind::NotFound
                && call.parsed.argument(0).is_none() =>
        {
            print(&format!("{shown} isn't there: everything is at its default\n"))?;
            return Ok(0);
        }
        Err(cause) => return Err(Failure::new(1, format!("read {shown}: {cause}")).into()),
    };
    let (_, problems) = read(&text);
    for problem in &problems {
        crate::notice(&told(&shown, problem));
    }
    if problems.is_empty() {
        print(&format!("{shown} is fine\n"))?;
    }
    Ok(i32::from(!problems.is_empty()))
}
