//! The file that `--log` names.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use chrono::{SecondsFormat, Utc};
use serde_json::json;

use super::path;
use crate::args::Parsed;
use crate::call::Failure;

/// Where errors are logged, and how.
pub(super) struct Log {
    file: Option<PathBuf>,
    json: bool,
    debug: bool,
}

impl Log {
    /// Returns what the flags say.
    pub(super) fn open(globals: &Parsed) -> Result<Self, Failure> {
        let json = match globals.last("log-format") {
            None | Some("text" | "") => false,
            Some("json") => true,
            Some(other) => {
                return Err(Failure::new(1, format!("invalid log-format {other:?}: text or json")));
            }
        };
        Ok(Self { file: path(globals, "log"), json, debug: globals.on("debug") })
    }

    /// Logs what the program ends with.
    pub(super) fn error(&self, text: &str) {
        self.line("error", text);
    }

    /// Logs what is no reason to stop.
    pub(super) fn warning(&self, text: &str) {
        self.line("warning", text);
    }

    /// Logs a step, if that is wanted; without a file it goes to standard error.
    pub(super) fn debug(&self, text: &str) {
        match (self.debug, &self.file) {
            (false, _) => {}
            (true, Some(_)) => self.line("debug", text),
            (true, None) => crate::report(&format!("debug: {text}")),
        }
    }

    fn line(&self, level: &str, text: &str) {
        let Some(path) = self.file.as_ref().filter(|_| !text.is_empty()) else { return };
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let line = match self.json {
            true => json!({ "level": level, "msg": text, "time": time }).to_string(),
            false => format!("time={time:?} level={level} msg={text:?}"),
        };
        let write = || {
            let mut file = OpenOptions::new().create(true).append(true).open(path)?;
            file.write_all((line + "\n").as_bytes())
        };
        if let Err(error) = write() {
            crate::report(&format!("{}: {error}", path.display()));
        }
    }
}
