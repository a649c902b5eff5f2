//! `config`: the settings of the dashboard and of the engine, which have one form of file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use wharf_ui::config::{ENGINE_TABLES, Problem, parse, problem_at, read, reference};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::connect::{engine_settings_file, passed_over, settings_file};
use crate::engine_settings;

pub(crate) static CHECK: Verb = Verb {
    name: "config check",
    paths: &["config check"],
    usage: "[FILE]",
    about: "Say what is wrong with the settings of the dashboard and of the engine",
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
    usage: "[OPTIONS]",
    about: "Print a settings file with everything in it, as comments",
    group: Group::Dashboard,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[Flag::switch("engine", "That of the engine's settings, not the dashboard's")]],
    missing: &[],
    run: |call: &Call| {
        print(&if call.parsed.on("engine") { engine_settings::reference() } else { reference() })?;
        Ok(0)
    },
};

/// Returns a problem as compilers tell theirs.
pub(crate) fn told(file: &str, problem: &Problem) -> String {
    let text = crate::format::text::clean(&problem.text);
    format!("{file}:{}:{}: {text}", problem.line, problem.column)
}

/// Whose settings a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Of {
    dashboard: bool,
    engine: bool,
}

fn check(call: &Call) -> anyhow::Result<i32> {
    let named = call.parsed.argument(0).map(PathBuf::from);
    let mut files: BTreeMap<PathBuf, Of> = BTreeMap::new();
    match &named {
        // It may become any.
        Some(file) => {
            files.insert(file.clone(), Of { dashboard: true, engine: true });
        }
        None => {
            if let Some(file) = settings_file(&|name: &str| std::env::var(name).ok()) {
                files.entry(file).or_default().dashboard = true;
            }
            if let Some(file) = engine_settings_file() {
                files.entry(file).or_default().engine = true;
            }
        }
    }
    if files.is_empty() {
        return Err(Failure::new(1, "HOME is not set: name the file").into());
    }
    let mut code = 0;
    for (file, of) in files {
        let shown = file.display().to_string();
        for passed in passed_over(&file).iter().filter(|_| of.engine) {
            crate::notice(passed);
            code = 1;
        }
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
                print(&format!("{shown} isn't there: everything is at its default\n"))?;
                continue;
            }
            Err(cause) => return Err(Failure::new(1, format!("read {shown}: {cause}")).into()),
        };
        let problems = problems(&text, of);
        for problem in &problems {
            crate::notice(&told(&shown, problem));
            code = 1;
        }
        if problems.is_empty() {
            print(&format!("{shown} is fine\n"))?;
        }
    }
    Ok(code)
}

/// Returns all that is wrong with a file that has the settings of these.
fn problems(text: &str, of: Of) -> Vec<Problem> {
    let table = match parse(text) {
        Ok(table) => table,
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    if of.dashboard {
        problems.extend(read(text).1);
    }
    if of.engine {
        problems.extend(engine_settings::read(text).1);
    }
    // What nobody reads there is a mistake, too.
    for (name, _) in table.get_ref() {
        let is_engines = ENGINE_TABLES.contains(&name.get_ref().as_ref());
        let (is_read, place) = match is_engines {
            true => (of.engine, "the engine's: it belongs in /etc/wharf/config.toml"),
            false => (of.dashboard, "not the engine's: it belongs in ~/.config/wharf/config.toml"),
        };
        if !is_read {
            let why = format!("{} is {place}", name.get_ref());
            problems.push(problem_at(text, name.span().start, why));
        }
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_what_its_reader_knows() {
        let text = "mouse = false\n[network]\nicc = 1\n";
        let told = |dashboard, engine| {
            let problems = problems(text, Of { dashboard, engine });
            problems.iter().map(|problem| told("f", problem)).collect::<Vec<_>>()
        };
        assert_eq!(told(true, true), ["f:3:7: network.icc is true or false"]);
        let dashboards = told(true, false);
        assert_eq!(dashboards.len(), 1, "{dashboards:?}");
        assert!(dashboards[0].starts_with("f:2:2: network is the engine's"), "{dashboards:?}");
        let engines = told(false, true);
        assert!(engines[0].starts_with("f:1:1: mouse is not the engine's"), "{engines:?}");
        assert_eq!(engines.len(), 2, "{engines:?}");
        assert_eq!(problems("[[[", Of { dashboard: true, engine: true }).len(), 1);
    }
}
