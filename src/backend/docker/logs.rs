//! Log records. The engine is asked to write each record's time before it, and the two are taken
//! apart here.

use std::collections::BTreeMap;

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use tokio_util::codec::{Decoder, FramedRead};
use wharf_model::{ErrorKind, LogOptions, LogRecord, LogStream};

use super::session::{ChunkDecoder, chunks};
use super::{Docker, container_segment, error};
use crate::{Error, Result};

impl Docker {
    /// Returns the wanted records, oldest first.
    pub(super) async fn log_stream(
        &self,
        container: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogRecord>>> {
        let tty = self.inspect(container).await?.config.and_then(|c| c.tty).unwrap_or_default();
        let tail = options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let since = options.since.map(seconds);
        let until = options.until.map(seconds);
        let mut query = vec![
            ("stdout", "1"),
            ("stderr", "1"),
            ("timestamps", "1"),
            ("follow", if options.follow { "1" } else { "0" }),
            ("details", if options.details { "1" } else { "0" }),
            ("tail", tail.as_str()),
        ];
        query.extend(since.iter().map(|text| ("since", text.as_str())));
        query.extend(until.iter().map(|text| ("until", text.as_str())));
        let path = format!("/containers/{}/logs", container_segment(container)?);
        let reader = self.transport.get(&path, &query).await?.into_reader();
        let mut last = DateTime::<Utc>::UNIX_EPOCH;
        let details = options.details;
        Ok(if tty {
            // One stream, unframed; each record but an overlong line's parts ends with its newline.
            FramedRead::new(reader, Lines)
                .map(move |line| {
                    let line = line.map_err(|cause| error::broken("logs", cause))?;
                    lost(&line)?;
                    Ok(record(LogStream::Stdout, &line, &mut last, details))
                })
                .boxed()
        } else {
            chunks(reader, ChunkDecoder::whole_frames())
                .map(move |chunk| {
                    let chunk = chunk?;
                    lost(&chunk.data)?;
                    Ok(record(chunk.stream, &chunk.data, &mut last, details))
                })
                .boxed()
        })
    }
}

/// Fails for what the engine says instead of a record, and then nothing more: a file of the log was rotated
/// away before its end was read.
fn lost(bytes: &[u8]) -> Result<()> {
    // A record has its time in front.
    let Some(why) = bytes.strip_prefix(b"Error grabbing logs: ") else { return Ok(()) };
    let why = String::from_utf8_lossy(why);
    let text =
        format!("lines are lost: the log was rotated before they were read ({})", why.trim());
    Err(Error::new(ErrorKind::NotFound, text))
}

/// Returns an instant as the engine reads it: seconds and nanoseconds since 1970.
fn seconds(time: DateTime<Utc>) -> String {
    format!("{}.{:09}", time.timestamp(), time.timestamp_subsec_nanos())
}

/// Takes the time off a record's front. A record without one (an error of the engine's in the
/// stream) gets the time of the record before it.
fn record(stream: LogStream, bytes: &[u8], last: &mut DateTime<Utc>, details: bool) -> LogRecord {
    let split = bytes.iter().position(|byte| *byte == b' ').and_then(|space| {
        let time = std::str::from_utf8(&bytes[..space]).ok()?;
        let time = DateTime::parse_from_rfc3339(time).ok()?.with_timezone(&Utc);
        Some((time, &bytes[space + 1..]))
    });
    let (time, mut message) = split.unwrap_or((*last, bytes));
    *last = time;
    let mut attributes = BTreeMap::new();
    // Between time and message, where it was asked for, and empty where there is nothing to say.
    if details
        && split.is_some()
        && let Some(space) = message.iter().position(|byte| *byte == b' ')
    {
        for pair in message[..space].split(|byte| *byte == b',') {
            attributes.extend(form_urlencoded::parse(pair).into_owned());
        }
        message = &message[space + 1..];
    }
    LogRecord { time, stream, message: message.to_vec(), attributes }
}

/// Lines with their newlines; the last may lack it.
struct Lines;

impl Decoder for Lines {
    type Item = BytesMut;
    type Error = std::io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> std::io::Result<Option<BytesMut>> {
        Ok(buffer.iter().position(|byte| *byte == b'\n').map(|end| buffer.split_to(end + 1)))
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> std::io::Result<Option<BytesMut>> {
        match self.decode(buffer)? {
            None if !buffer.is_empty() => Ok(Some(buffer.split())),
            line => Ok(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_taken_off_and_the_message_left_alone() {
        let mut last = DateTime::<Utc>::UNIX_EPOCH;
        let bytes = b"2026-11-21T05:00:00.123456789Z hello  world\r\n";
        let first = record(LogStream::Stdout, bytes, &mut last, false);
        assert_eq!(first.message, b"hello  world\r\n");
        assert_eq!(first.time.timestamp_subsec_nanos(), 123_456_789);
        let second = record(LogStream::Stderr, b"error from the daemon\n", &mut last, false);
        assert_eq!(second.time, first.time);
        assert_eq!(second.message, b"error from the daemon\n");
        let error = lost(b"Error grabbing logs: no such file or directory\n").unwrap_err();
        assert!(error.kind == ErrorKind::NotFound && error.message.ends_with("directory)"));
        assert!(lost(b"2026-11-21T05:00:01Z Error grabbing logs: mine\n").is_ok());
        let empty = record(LogStream::Stdout, b"2026-11-21T05:00:01Z \n", &mut last, false);
        assert_eq!(empty.message, b"\n");
        assert!(empty.time > first.time);
        let bytes = b"2026-11-21T05:00:01Z a=x+y,tag=1%2C2 hello\n";
        let detailed = record(LogStream::Stdout, bytes, &mut last, true);
        assert_eq!(detailed.message, b"hello\n");
        assert_eq!(detailed.attributes["a"], "x y");
        assert_eq!(detailed.attributes["tag"], "1,2");
    }
}
