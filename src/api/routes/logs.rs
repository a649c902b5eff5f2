//! `logs`: what a container has written.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use chrono::SecondsFormat;
use futures_util::{Stream, StreamExt};
use wharf_backend::{Backend, Error};
use wharf_model::{LogOptions, LogRecord, LogStream};

use crate::answer::{self, Answered, Refusal};
use crate::body;
use crate::frames::Framing;
use crate::request::{Ask, Query};
use crate::server::Server;

/// How many records go out at once where they are at hand.
const AT_ONCE: usize = 128;

pub(crate) async fn logs(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let query = &ask.query;
    let lines = Lines::wanted(query)?;
    let options = LogOptions {
        tail: tail(query),
        since: query.instant("since")?,
        until: query.instant("until")?,
        follow: query.on("follow"),
        details: lines.details,
    };
    let detail = server.engine.container(name).await?;
    let framing = Framing::of(detail.config.tty);
    let records = server.engine.logs(detail.id.as_str(), options).await?;
    let body = body::stream(lines.frames(records, framing));
    Ok(answer::of_type(framing.content_type(ask.version), body))
}

/// Returns how many of the last records are wanted; what isn't a number means all.
fn tail(query: &Query) -> Option<u64> {
    query.text("tail").and_then(|text| text.parse().ok())
}

/// Records on their way to a client.
pub(crate) struct Lines {
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    details: bool,
    /// Whether the next record of standard output, or of standard error, begins a line.
    fresh: [bool; 2],
}

impl Lines {
    /// Reads which outputs are wanted, and how.
    ///
    /// # Errors
    /// When none is.
    fn wanted(query: &Query) -> Result<Self, Refusal> {
        let (stdout, stderr) = (query.on("stdout"), query.on("stderr"));
        if !stdout && !stderr {
            let text = "Bad parameters: you must choose at least one stream";
            return Err(Refusal::invalid(text));
        }
        let (timestamps, details) = (query.on("timestamps"), query.on("details"));
        Ok(Self { timestamps, details, ..Self::plain(stdout, stderr) })
    }

    /// Returns the bare records of these outputs.
    pub(crate) fn plain(stdout: bool, stderr: bool) -> Self {
        Self { stdout, stderr, timestamps: false, details: false, fresh: [true; 2] }
    }

    /// Returns the records as they are sent, many at once where they are at hand.
    pub(crate) fn frames(
        mut self,
        records: impl Stream<Item = Result<LogRecord, Error>> + Send + 'static,
        framing: Framing,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        records.ready_chunks(AT_ONCE).map(move |records| {
            let mut out = BytesMut::new();
            for record in records {
                match record {
                    Ok(record) => self.put(&record, framing, &mut out),
                    // What came before it is in the log still.
                    Err(error) => return Err(error),
                }
            }
            Ok(out.freeze())
        })
    }

    fn put(&mut self, record: &LogRecord, framing: Framing, out: &mut BytesMut) {
        let (wanted, of) = match record.stream {
            LogStream::Stdout => (self.stdout, 0),
            LogStream::Stderr => (self.stderr, 1),
        };
        if !wanted {
            return;
        }
        if !self.timestamps && !self.details {
            framing.put(record.stream, &record.message, out);
            return;
        }
        let mut line = BytesMut::new();
        if std::mem::replace(&mut self.fresh[of], record.message.ends_with(b"\n")) {
            if self.timestamps {
                let time = record.time.to_rfc3339_opts(SecondsFormat::Nanos, true);
                line.put_slice(time.as_bytes());
                line.put_u8(b' ');
            }
            if self.details {
                line.put_slice(wharf_inspect::log_attributes(&record.attributes).as_bytes());
                line.put_u8(b' ');
            }
        }
        line.put_slice(&record.message);
        framing.put(record.stream, &line, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_frames() {
        let record = |stream, text: &str| LogRecord {
            time: "2024-05-06T12:00:00.5Z".parse().unwrap(),
            stream,
            message: text.as_bytes().to_vec(),
            attributes: [("a".to_owned(), "b c".to_owned())].into(),
        };
        let mut out = BytesMut::new();
        let mut lines = Lines { timestamps: true, details: true, ..Lines::plain(true, false) };
        lines.put(&record(LogStream::Stdout, "par"), Framing::Raw, &mut out);
        lines.put(&record(LogStream::Stderr, "no"), Framing::Raw, &mut out);
        lines.put(&record(LogStream::Stdout, "tial\n"), Framing::Raw, &mut out);
        assert_eq!(&out[..], b"2024-05-06T12:00:00.500000000Z a=b+c partial\n");
        let mut out = BytesMut::new();
        let mut lines = Lines::plain(true, true);
        lines.put(&record(LogStream::Stderr, "x\n"), Framing::Multiplexed, &mut out);
        assert_eq!(&out[..], b"\x02\0\0\0\0\0\0\x02x\n");
        assert!(Lines::wanted(&Query::default()).is_err());
    }
}
