//! The small programs inside the built-in image `wharf/demo`, and the containers that `wharf demo`
//! runs of it.
//!
//! The image's only program is wharf itself; links in its `/bin` name what it is to be, so `main`
//! asks [`program_of`] first and hands over to [`main`]. The programs need no memory to speak of:
//! no runtime, no threads while idle. As first processes of their containers they have no default
//! action for SIGTERM, so those that wait, wait for signals too.

mod crash;
mod health;
mod http;
mod load;
mod set;
mod shell;
mod signals;
mod talk;
mod tools;

use std::ffi::{OsStr, OsString};
use std::path::Path;

pub use set::{PROJECT, demo_set};

type Program = fn(&[String]) -> i32;

const TABLE: &[(&str, Program)] = &[
    ("cat", tools::cat),
    ("crash", crash::main),
    ("echo", tools::echo),
    ("env", tools::env),
    ("false", |_| 1),
    ("http", http::main),
    ("id", tools::id),
    ("load", load::main),
    ("ls", tools::ls),
    ("probe", health::probe_main),
    ("sh", shell::main),
    ("sleep", tools::sleep),
    ("talk", talk::main),
    ("true", |_| 0),
];

/// Returns the names of all programs, sorted.
pub fn programs() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// Returns the program that a first argument (`/bin/http`, `http`) asks for.
pub fn program_of(first_argument: &OsStr) -> Option<&'static str> {
    let name = Path::new(first_argument).file_name()?;
    programs().find(|program| name == *program)
}

/// Runs a program to its end and returns its exit code; 127 if there is none of that name.
pub fn main(program: &str, args: &[OsString]) -> i32 {
    let args: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    match TABLE.iter().find(|(name, _)| *name == program) {
        Some((_, run)) => run(&args),
        None => {
            complain(program, "no such program");
            127
        }
    }
}

/// Writes an error as programs do, and lets a closed standard error pass.
fn complain(program: &str, message: impl std::fmt::Display) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{program}: {message}");
}

/// Returns a setting from the environment, or what it is when unset or unreadable.
fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_their_file_name() {
        assert_eq!(program_of(OsStr::new("/bin/http")), Some("http"));
        assert_eq!(program_of(OsStr::new("sleep")), Some("sleep"));
        assert_eq!(program_of(OsStr::new("/usr/bin/wharf")), None);
        assert_eq!(program_of(OsStr::new("/")), None);
        assert_eq!(main("true", &[]), 0);
        assert_eq!(main("false", &[]), 1);
    }

    /// The image's links are made by the engine, which can't ask this crate.
    #[test]
    fn the_image_links_every_program() {
        assert!(programs().eq(wharf_engine::image::DEMO_PROGRAMS.iter().copied()));
    }
}
