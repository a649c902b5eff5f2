//! What the tests share: logs in temporary folders.

use std::fmt::Write as _;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use wharf_model::LogStream;

use crate::codec;

/// A folder with a log in it, removed when the test ends.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("wharf-logs-").tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("c-json.log")
    }

    pub(crate) fn rotated(&self, number: u32) -> PathBuf {
        crate::files::rotated(&self.path(), number)
    }

    /// Appends records `line FROM` to `line TO`, one a second.
    pub(crate) fn append(&self, lines: std::ops::Range<u64>) {
        self.append_raw(&records(lines));
    }

    pub(crate) fn append_raw(&self, bytes: &[u8]) {
        use std::io::Write as _;
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true).open(self.path()).unwrap().write_all(bytes).unwrap();
    }
}

pub(crate) fn second(number: u64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-01-02T00:00:00Z".parse().unwrap();
    start + TimeDelta::seconds(i64::try_from(number).unwrap())
}

pub(crate) fn records(lines: std::ops::Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut text = String::new();
    for number in lines {
        text.clear();
        writeln!(text, "line {number}").unwrap();
        let stream = if number % 3 == 0 { LogStream::Stderr } else { LogStream::Stdout };
        codec::encode(&mut out, stream, second(number), text.as_bytes());
    }
    out
}
