//! Docker's json-file records: `{"log":"…\n","stream":"stdout","time":"…"}` and a newline.
//!
//! Format and escapes are those of Docker's json-file log driver, so that its tools read our files
//! and we read its. [`encode`] appends to a buffer that the caller reuses. [`RawRecord`] finds the
//! parts of a record without decoding them, which is what makes a search of a large file fast.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use memchr::memchr2;
use serde::Deserialize;
use wharf_model::{LogRecord, LogStream};

use crate::time;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends one record with its newline. `line` is what the container wrote, its own newline
/// included when the line is complete; each byte that isn't UTF-8 becomes U+FFFD.
pub fn encode(out: &mut Vec<u8>, stream: LogStream, time: DateTime<Utc>, line: &[u8]) {
    let mut tail = Vec::with_capacity(80);
    encode_tail(&mut tail, stream, b"", time);
    encode_with(out, line, &tail);
}

/// Appends what follows the message in a record. `attributes` is an object of JSON, or nothing.
pub(crate) fn encode_tail(
    out: &mut Vec<u8>,
    stream: LogStream,
    attributes: &[u8],
    time: DateTime<Utc>,
) {
    out.extend_from_slice(b"\",\"stream\":\"");
    out.extend_from_slice(stream.as_str().as_bytes());
    if !attributes.is_empty() {
        out.extend_from_slice(b"\",\"attrs\":");
        out.extend_from_slice(attributes);
        out.extend_from_slice(b",\"time\":\"");
    } else {
        out.extend_from_slice(b"\",\"time\":\"");
    }
    time::write(out, time);
    out.extend_from_slice(b"\"}\n");
}

/// Appends one record, whose end is the same for all that were read at once.
pub(crate) fn encode_with(out: &mut Vec<u8>, line: &[u8], tail: &[u8]) {
    // Room for all at once: nearly always nothing becomes longer but the newline.
    out.reserve(line.len() + tail.len() + 16);
    out.extend_from_slice(b"{\"log\":\"");
    let (body, newline) = match line.split_last() {
        Some((b'\n', body)) => (body, true),
        _ => (line, false),
    };
    if is_plain(body) {
        out.extend_from_slice(body);
    } else if let Ok(text) = std::str::from_utf8(body) {
        escape(out, text.as_bytes());
    } else {
        for chunk in body.utf8_chunks() {
            escape(out, chunk.valid().as_bytes());
            for _ in chunk.invalid() {
                out.extend_from_slice(b"\\ufffd");
            }
        }
    }
    if newline {
        out.extend_from_slice(b"\\n");
    }
    out.extend_from_slice(tail);
}

/// Returns whether every byte is ASCII and stands for itself: what nearly all lines consist of,
/// found many bytes at once.
fn is_plain(text: &[u8]) -> bool {
    let special = |byte: u8| {
        u8::from(byte < 0x20)
            | u8::from(byte >= 0x80)
            | u8::from(byte == b'"')
            | u8::from(byte == b'\\')
            | u8::from(byte == b'<')
            | u8::from(byte == b'>')
            | u8::from(byte == b'&')
    };
    let (blocks, rest) = text.as_chunks::<32>();
    blocks.iter().all(|block| block.iter().fold(0, |any, byte| any | special(*byte)) == 0)
        && rest.iter().fold(0, |any, byte| any | special(*byte)) == 0
}

/// Bytes that can't stand for themselves. Docker escapes the three of HTML too; 0xe2 begins
/// U+2028 and U+2029, which JavaScript takes for line ends.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[b'<' as usize] = true;
    table[b'>' as usize] = true;
    table[b'&' as usize] = true;
    table[0xe2] = true;
    table
};

fn escape(out: &mut Vec<u8>, mut text: &[u8]) {
    while let Some(at) = text.iter().position(|b| SPECIAL[usize::from(*b)]) {
        out.extend_from_slice(&text[..at]);
        let byte = text[at];
        let mut used = 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0xe2 => {
                used = 3;
                match text.get(at..at + 3) {
                    Some([_, 0x80, 0xa8]) => out.extend_from_slice(b"\\u2028"),
                    Some([_, 0x80, 0xa9]) => out.extend_from_slice(b"\\u2029"),
                    Some(other) => out.extend_from_slice(other),
                    None => used = text.len() - at,
                }
            }
            _ => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        text = &text[at + used..];
    }
    out.extend_from_slice(text);
}

/// Returns the record in this line (with or without its newline), or none if it isn't one: torn,
/// or something else altogether. Unknown keys are passed over.
pub fn decode(line: &[u8]) -> Option<LogRecord> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    if let Some(raw) = RawRecord::parse(line) {
        return Some(LogRecord {
            time: time::parse(raw.time)?,
            stream: raw.stream,
            message: unescape(raw.log)?.into_owned(),
            attributes: match raw.attributes {
                b"" => BTreeMap::new(),
                text => words(serde_json::from_slice(text).ok()?),
            },
        });
    }
    decode_any(line)
}

/// Returns attributes as text, which others may have written in other shapes.
fn words(attributes: BTreeMap<String, serde_json::Value>) -> BTreeMap<String, String> {
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    attributes.into_iter().map(|(key, value)| (key, text(value))).collect()
}

/// Any JSON object with the three keys, in any order.
fn decode_any(line: &[u8]) -> Option<LogRecord> {
    #[derive(Deserialize)]
    struct Record {
        #[serde(default)]
        log: String,
        #[serde(default)]
        stream: String,
        #[serde(default)]
        attrs: BTreeMap<String, serde_json::Value>,
        time: String,
    }
    if line.first() != Some(&b'{') {
        return None;
    }
    let text = String::from_utf8_lossy(line);
    let record: Record = serde_json::from_str(&text).ok()?;
    Some(LogRecord {
        time: time::parse(record.time.as_bytes())?,
        stream: if record.stream == "stderr" { LogStream::Stderr } else { LogStream::Stdout },
        message: record.log.into_bytes(),
        attributes: words(record.attrs),
    })
}

/// The parts of a record where they lie in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawRecord<'a> {
    /// The message, still escaped.
    pub(crate) log: &'a [u8],
    pub(crate) stream: LogStream,
    /// An object of JSON, not checked, or nothing.
    pub(crate) attributes: &'a [u8],
    /// The time, not checked.
    pub(crate) time: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// Returns the parts, if the line (without newline) has docker's form and key order.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let body = line.strip_prefix(b"{\"log\":\"")?;
        let end = string_end(body)?;
        let (log, rest) = (&body[..end], &body[end + 1..]);
        let rest = rest.strip_prefix(b",\"stream\":\"std")?;
        let (stream, rest) = if let Some(rest) = rest.strip_prefix(b"out\",") {
            (LogStream::Stdout, rest)
        } else {
            (LogStream::Stderr, rest.strip_prefix(b"err\",")?)
        };
        let (attributes, rest) = match rest.strip_prefix(b"\"attrs\":") {
            None => (&b""[..], rest),
            Some(rest) => {
                // The time comes last, and nothing in an object of strings looks like it.
                let end = memchr::memmem::rfind(rest, b",\"time\":\"")?;
                (&rest[..end], &rest[end + 1..])
            }
        };
        let rest = rest.strip_prefix(b"\"time\":\"")?;
        let end = string_end(rest)?;
        let time = &rest[..end];
        (&rest[end..] == b"\"}").then_some(Self { log, stream, attributes, time })
    }
}

/// Returns where the quote is that ends a JSON string.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Returns the message of an escaped JSON string, borrowed where nothing is escaped. A lone half
/// of a surrogate pair becomes U+FFFD.
pub(crate) fn unescape(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let Some(first) = memchr::memchr(b'\\', text) else { return Some(Cow::Borrowed(text)) };
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let [b'\\', escape, after @ ..] = rest {
        let mut after = after;
        match escape {
            b'"' | b'\\' | b'/' => out.push(*escape),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => {
                let (unit, mut beyond) = hex4(after)?;
                let mut code = u32::from(unit);
                if (0xd800..0xdc00).contains(&unit)
                    && let Some(pair) = beyond.strip_prefix(b"\\u")
                    && let Some((low, end)) = hex4(pair)
                    && (0xdc00..0xe000).contains(&low)
                {
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (u32::from(low) - 0xdc00);
                    beyond = end;
                }
                let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                after = beyond;
            }
            _ => return None,
        }
        let plain = memchr::memchr(b'\\', after).unwrap_or(after.len());
        out.extend_from_slice(&after[..plain]);
        rest = &after[plain..];
    }
    rest.is_empty().then_some(Cow::Owned(out))
}

fn hex4(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let mut value = 0_u16;
    for digit in digits {
        let digit = char::from(*digit).to_digit(16)?;
        value = value << 4 | u16::try_from(digit).ok()?;
    }
    Some((value, rest))
}

/// Returns the message as borrowed as it can be, without the newline, and whether it had one.
pub(crate) fn message(log: &[u8]) -> Option<(Cow<'_, [u8]>, bool)> {
    // An escaped backslash before an `n` is no newline.
    if let Some(body) = log.strip_suffix(b"\\n")
        && memchr::memchr(b'\\', body).is_none()
    {
        return Some((Cow::Borrowed(body), true));
    }
    Some(match unescape(log)? {
        Cow::Owned(mut text) => {
            let complete = text.last() == Some(&b'\n');
            if complete {
                text.pop();
            }
            (Cow::Owned(text), complete)
        }
        borrowed @ Cow::Borrowed(_) => (borrowed, false),
    })
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
