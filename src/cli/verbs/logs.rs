//! `logs`: what a container has written.

use std::io::{self, Write};

use chrono::{SecondsFormat, Utc};
use futures_util::{FutureExt, StreamExt};
use wharf_model::{LogOptions, LogRecord, LogStream};

use crate::args::create::invalid;
use crate::args::{Arity, Flag, Group, Verb, values};
use crate::call::{Call, Failure};

pub(crate) static VERB: Verb = Verb {
    name: "logs",
    paths: &["container logs"],
    usage: "[OPTIONS] CONTAINER",
    about: "Show what a container has written",
    group: Group::Observe,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::switch("details", "Put what --log-opt adds to each record before it"),
        Flag::switch("follow", "Go on with what it writes").short('f'),
        Flag::value("since", "string", "From this time on (2013-01-02T13:23:37Z, or 42m ago)"),
        Flag::value("tail", "string", "Only the last so many lines (all)").short('n'),
        Flag::switch("timestamps", "Put the time before each line").short('t'),
        Flag::value("until", "string", "Up to this time (2013-01-02T13:23:37Z, or 42m ago)"),
    ]],
    missing: &[],
    run,
};

/// Bytes gathered before they are written while more are at hand.
const BUFFER: usize = 64 * 1024;

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let now = Utc::now();
    let instant = |flag: &str| {
        let text = parsed.last(flag).filter(|text| !text.is_empty());
        text.map(|text| wharf_inspect::instant(text, now).map_err(|reason| Failure::new(1, reason)))
            .transpose()
    };
    let tail = match parsed.last("tail") {
        None | Some("all") => None,
        Some(text) => {
            let count =
                values::integer(text).map_err(|reason| invalid(text, "-n, --tail", &reason))?;
            // Negative means all, as docker has it.
            u64::try_from(count).ok()
        }
    };
    let options = LogOptions {
        tail,
        since: instant("since")?,
        until: instant("until")?,
        follow: parsed.on("follow"),
        details: parsed.on("details"),
    };
    let name = parsed.argument(0).unwrap_or_default();
    let mut lines = Lines::new(parsed.on("timestamps"), parsed.on("details"));
    call.over_engine(async |backend| {
        let mut records = backend.logs(name, options).await?;
        loop {
            // Written when nothing more is at hand, so that many records take few writes.
            let record = match records.next().now_or_never() {
                Some(record) => record,
                None => {
                    lines.flush()?;
                    records.next().await
                }
            };
            match record {
                Some(record) => lines.add(&record?)?,
                None => break,
            }
        }
        lines.flush()?;
        Ok(0)
    })
}

/// Records on their way to standard output and standard error, byte for byte.
struct Lines {
    timestamps: bool,
    details: bool,
    /// Whether the next record of standard output, or of standard error, begins a line.
    fresh: [bool; 2],
    stream: LogStream,
    buffer: Vec<u8>,
}

impl Lines {
    fn new(timestamps: bool, details: bool) -> Self {
        Self {
            timestamps,
            details,
            fresh: [true; 2],
            stream: LogStream::Stdout,
            buffer: Vec::new(),
        }
    }

    fn add(&mut self, record: &LogRecord) -> io::Result<()> {
        if record.stream != self.stream || self.buffer.len() >= BUFFER {
            self.flush()?;
            self.stream = record.stream;
        }
        let fresh = &mut self.fresh[usize::from(record.stream == LogStream::Stderr)];
        if self.timestamps && *fresh {
            let time = record.time.to_rfc3339_opts(SecondsFormat::Nanos, true);
            self.buffer.extend_from_slice(time.as_bytes());
            self.buffer.push(b' ');
        }
        if self.details && *fresh {
            self.buffer
                .extend_from_slice(wharf_inspect::log_attributes(&record.attributes).as_bytes());
            self.buffer.push(b' ');
        }
        *fresh = record.message.ends_with(b"\n");
        self.buffer.extend_from_slice(&record.message);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        match self.stream {
            LogStream::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&self.buffer)?;
                out.flush()?;
            }
            LogStream::Stderr => io::stderr().lock().write_all(&self.buffer)?,
        }
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_stand_at_line_beginnings() {
        let mut lines = Lines::new(true, false);
        for message in ["par", "tial\n", "whole\n"] {
            lines
                .add(&LogRecord {
                    time: "2024-05-06T12:00:00.5Z".parse().unwrap(),
                    stream: LogStream::Stdout,
                    message: message.as_bytes().to_vec(),
                    attributes: Default::default(),
                })
                .unwrap();
        }
        assert_eq!(
            String::from_utf8(lines.buffer).unwrap(),
            "2024-05-06T12:00:00.500000000Z partial\n2024-05-06T12:00:00.500000000Z whole\n"
        );
    }
}
