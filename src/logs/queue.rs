//! Output that waits to be written, for a container that must not: `mode=non-blocking`.
//!
//! The queue takes in chunks as they were read. When it is full they are dropped in whole lines, and a
//! note of how much it was takes their place.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use memchr::{memchr, memchr_iter};
use wharf_model::LogStream;

use crate::{Result, Writer};

/// What is in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Output as it came.
    Output {
        /// Where it was written to.
        stream: LogStream,
        /// When it was read.
        time: DateTime<Utc>,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A gap.
    Lost {
        /// When the first of it was dropped.
        time: DateTime<Utc>,
        /// How many lines ended in it.
        lines: u64,
        /// How many bytes it was.
        bytes: u64,
    },
}

/// Output that waits, up to a limit.
#[derive(Debug)]
pub struct Queue {
    pieces: VecDeque<Piece>,
    /// The bytes of output in it.
    size: u64,
    limit: u64,
    /// What was dropped since the last piece: when it began, lines and bytes.
    lost: Option<(DateTime<Utc>, u64, u64)>,
    /// Whether the rest of a line is to be dropped too, by stream.
    torn: [bool; 2],
}

impl Queue {
    /// Returns an empty queue for so many bytes. As with docker, one that is empty takes any chunk.
    pub fn new(limit: u64) -> Self {
        Self { pieces: VecDeque::new(), size: 0, limit, lost: None, torn: [false; 2] }
    }

    /// Takes in a chunk, or drops it.
    pub fn push(&mut self, stream: LogStream, time: DateTime<Utc>, data: &[u8]) {
        let slot = usize::from(stream == LogStream::Stderr);
        let mut data = data;
        if self.torn[slot] {
            // Half a line is of no use.
            let end = memchr(b'\n', data).map(|at| at + 1);
            let (rest, after) = data.split_at(end.unwrap_or(data.len()));
            self.lose(time, rest);
            self.torn[slot] = end.is_none();
            data = after;
        }
        if data.is_empty() {
            return;
        }
        if self.size > 0 && self.size + data.len() as u64 > self.limit {
            self.lose(time, data);
            self.torn[slot] = !data.ends_with(b"\n");
            return;
        }
        self.note();
        self.size += data.len() as u64;
        self.pieces.push_back(Piece::Output { stream, time, data: data.to_owned() });
    }

    fn lose(&mut self, time: DateTime<Utc>, data: &[u8]) {
        let (_, lines, bytes) = self.lost.get_or_insert((time, 0, 0));
        *lines += memchr_iter(b'\n', data).count() as u64;
        *bytes += data.len() as u64;
    }

    /// Puts what was dropped in its place; at the end of all output there is no later one.
    pub fn note(&mut self) {
        if let Some((time, lines, bytes)) = self.lost.take() {
            self.pieces.push_back(Piece::Lost { time, lines, bytes });
        }
    }

    /// Returns the oldest piece.
    pub fn front(&self) -> Option<&Piece> {
        self.pieces.front()
    }

    /// Removes the oldest piece.
    pub fn pop(&mut self) {
        if let Some(Piece::Output { data, .. }) = self.pieces.pop_front() {
            self.size -= data.len() as u64;
        }
        if self.pieces.is_empty() {
            // An idle container's supervisor keeps no buffer.
            self.pieces = VecDeque::new();
        }
    }

    /// Returns whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

const LOST: u8 = 2;
const HEAD: usize = 9;

impl Piece {
    /// Appends the piece as one message: what it is, its time in nanoseconds, and the bytes or numbers,
    /// all little-endian.
    pub fn encode(&self, to: &mut Vec<u8>) {
        // Outside of the years 1677 to 2262 no clock is.
        let nanos = |time: &DateTime<Utc>| time.timestamp_nanos_opt().unwrap_or(0).to_le_bytes();
        match self {
            Self::Output { stream, time, data } => {
                to.push(u8::from(*stream == LogStream::Stderr));
                to.extend_from_slice(&nanos(time));
                to.extend_from_slice(data);
            }
            Self::Lost { time, lines, bytes } => {
                to.push(LOST);
                to.extend_from_slice(&nanos(time));
                to.extend_from_slice(&lines.to_le_bytes());
                to.extend_from_slice(&bytes.to_le_bytes());
            }
        }
    }
}

/// Writes what one message of [`Piece::encode`]'s says.
///
/// # Errors
/// As [`Writer::write`]. A message that is none is passed over.
pub fn write_encoded(writer: &mut Writer, message: &[u8]) -> Result<()> {
    let Some((head, rest)) = message.split_at_checked(HEAD) else { return Ok(()) };
    let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
    let time = DateTime::from_timestamp_nanos(number(&head[1..]).cast_signed());
    match head[0] {
        0 => writer.write(LogStream::Stdout, time, rest),
        1 => writer.write(LogStream::Stderr, time, rest),
        _ => {
            let (lines, bytes) =
                (number(&rest[..8.min(rest.len())]), number(&rest[8.min(rest.len())..]));
            let mut result = Ok(());
            for stream in [LogStream::Stdout, LogStream::Stderr] {
                // The line that was torn ends here.
                if writer.has_partial(stream) {
                    result = result.and(writer.write(stream, time, b"\n"));
                }
            }
            let note = format!(
                "wharf: dropped {bytes} bytes here, with the ends of {lines} lines: the log couldn't \
                 be written as fast as they came\n"
            );
            result.and(writer.write(LogStream::Stderr, time, note.as_bytes()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reader, Rotation};
    use wharf_model::LogOptions;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 7).unwrap()
    }

    /// Writes what a queue holds, as the process beside the supervisor does, and returns the log's lines.
    fn written(queue: &mut Queue) -> Vec<(LogStream, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut writer = Writer::open(&path, Rotation::default()).unwrap();
        queue.note();
        while let Some(piece) = queue.front() {
            let mut message = Vec::new();
            piece.encode(&mut message);
            write_encoded(&mut writer, &message).unwrap();
            queue.pop();
        }
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            writer.finish(stream, at(99)).unwrap();
        }
        let mut reader = Reader::open(&path, &LogOptions::default()).unwrap();
        std::iter::from_fn(|| reader.next_record().unwrap())
            .map(|record| (record.stream, String::from_utf8(record.message.clone()).unwrap()))
            .collect()
    }

    #[test]
    fn what_fits_comes_out_as_it_came() {
        let mut queue = Queue::new(100);
        queue.push(LogStream::Stdout, at(1), b"one\ntw");
        queue.push(LogStream::Stderr, at(2), b"error\n");
        queue.push(LogStream::Stdout, at(3), b"o\n");
        let (out, err) = (LogStream::Stdout, LogStream::Stderr);
        let expected = [(out, "one\n"), (err, "error\n"), (out, "two\n")];
        assert_eq!(written(&mut queue), expected.map(|(stream, text)| (stream, text.to_owned())));
        assert!(queue.is_empty() && queue.size == 0);
    }

    #[test]
    fn what_does_not_fit_is_dropped_in_whole_lines_and_counted() {
        let mut queue = Queue::new(10);
        queue.push(LogStream::Stdout, at(1), b"a chunk larger than the queue\nbeg");
        queue.push(LogStream::Stdout, at(2), b"un\nlost\nhalf");
        queue.push(LogStream::Stderr, at(2), b"lost too\n");
        queue.pop();
        // There is room, but not for the second half of a line.
        queue.push(LogStream::Stdout, at(3), b" a line");
        queue.push(LogStream::Stdout, at(3), b" more\nheard\n");
        queue.push(LogStream::Stdout, at(4), b"dropped at the end\n");
        let lines: Vec<String> = written(&mut queue).into_iter().map(|(_, text)| text).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[0].starts_with("wharf: dropped 34 bytes here, with the ends of 4 lines"),
            "{lines:?}"
        );
        assert_eq!(lines[1], "heard\n");
        assert!(lines[2].starts_with("wharf: dropped 19 bytes"), "{lines:?}");
    }

    #[test]
    fn a_line_whose_end_was_dropped_ends() {
        let mut queue = Queue::new(10);
        queue.push(LogStream::Stdout, at(1), b"whole\nhalf");
        queue.push(LogStream::Stdout, at(2), b" of it\n");
        let lines: Vec<String> = written(&mut queue).into_iter().map(|(_, text)| text).collect();
        assert_eq!(lines[..2], ["whole\n", "half\n"]);
        assert!(lines[2].starts_with("wharf: dropped 7 bytes"), "{lines:?}");
    }

    #[test]
    fn nothing_of_a_message_that_is_none_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path().join("log"), Rotation::default()).unwrap();
        for message in [&b""[..], b"\x02", b"\x0212345678", b"\x0212345678123", &[0xff; 9]] {
            write_encoded(&mut writer, message).unwrap();
        }
    }
}
