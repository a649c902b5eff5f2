//! Tests of the record format against lines as dockerd writes them.

use chrono::{TimeZone, Utc};
use proptest::prelude::*;
use wharf_model::{LogRecord, LogStream};

use super::*;

fn line(message: &[u8]) -> String {
    let mut out = Vec::new();
    encode(&mut out, LogStream::Stdout, "2026-01-02T03:04:05.6Z".parse().unwrap(), message);
    String::from_utf8(out).unwrap()
}

#[test]
fn records_look_as_docker_writes_them() {
    for (message, log) in [
        (&b"hello\n"[..], r"hello\n"),
        (b"a\"b\\c\r\n", r#"a\"b\\c\r\n"#),
        (b"<a href='x'>&\n", r"\u003ca href='x'\u003e\u0026\n"),
        (b"\x1b[31mred\x1b[0m\ttab\x7f\n", "\\u001b[31mred\\u001b[0m\\u0009tab\u{7f}\\n"),
        (
            "caf\u{e9} \u{1f600} \u{2028}\u{2029}\u{2027}".as_bytes(),
            "caf\u{e9} \u{1f600} \\u2028\\u2029\u{2027}",
        ),
        (b"bad \xff\xfe \xe2\x82\n", r"bad \ufffd\ufffd \ufffd\ufffd\n"),
    ] {
        let expected = format!(
            "{{\"log\":\"{log}\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05.6Z\"}}\n"
        );
        assert_eq!(line(message), expected);
    }
}

#[test]
fn foreign_records_are_understood() {
    let expected = LogRecord {
        time: Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap(),
        stream: LogStream::Stderr,
        message: b"x\n".to_vec(),
        attributes: BTreeMap::new(),
    };
    for text in [
        r#"{"log":"x\n","stream":"stderr","time":"2026-01-02T03:04:05Z"}"#,
        r#"{"time":"2026-01-02T05:04:05+02:00", "stream":"stderr", "log":"x\u000a"}"#,
    ] {
        assert_eq!(decode(text.as_bytes()), Some(expected.clone()), "{text}");
    }
    // Whatever else than a text an attribute is, it is kept as it was written.
    let text = r#"{"log":"x\n","stream":"stderr","attrs":{"a":"b","c":{"d":[1]}},"time":"2026-01-02T03:04:05Z"}"#;
    let attributes = [("a", "b"), ("c", r#"{"d":[1]}"#)];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(decode(text.as_bytes()), Some(LogRecord { attributes, ..expected }));
}

#[test]
fn torn_and_strange_lines_are_no_records() {
    let whole = line(b"quoted \" and \\ slashes \\n\n");
    let whole = whole.trim_end().as_bytes();
    for end in 0..whole.len() {
        assert_eq!(decode(&whole[..end]), None, "cut at {end}");
    }
    assert!(decode(whole).is_some());
    for text in ["", "{}", "null", "plain text", r#"{"log":"\q","stream":"stdout","time":"x"}"#] {
        assert_eq!(decode(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn surrogates_join_or_are_replaced() {
    let text = |log| unescape(log).map(|t| String::from_utf8(t.into_owned()).unwrap());
    assert_eq!(text(br"\ud83d\ude00").unwrap(), "\u{1f600}");
    assert_eq!(text(br"\ud83dx").unwrap(), "\u{fffd}x");
    assert_eq!(text(br"\ude00\ud83d").unwrap(), "\u{fffd}\u{fffd}");
    assert_eq!(text(br"\u12"), None);
}

#[test]
fn the_newline_is_told_from_an_escaped_n() {
    assert_eq!(message(br"a\n").unwrap(), (Cow::Borrowed(&b"a"[..]), true));
    assert_eq!(message(br"a\\n").unwrap(), (Cow::Borrowed(&b"a\\n"[..]), false));
    assert_eq!(message(br"a").unwrap(), (Cow::Borrowed(&b"a"[..]), false));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        message in proptest::collection::vec(any::<u8>(), 0..300),
        seconds in -60_000_000_000_i64..250_000_000_000,
        nanos in 0_u32..1_000_000_000,
        stderr in any::<bool>(),
    ) {
        let stream = if stderr { LogStream::Stderr } else { LogStream::Stdout };
        let time = Utc.timestamp_opt(seconds, nanos).unwrap();
        let mut out = Vec::new();
        encode(&mut out, stream, time, &message);
        prop_assert_eq!(memchr::memchr_iter(b'\n', &out).count(), 1);
        let record = decode(&out).unwrap();
        // Each byte of an invalid sequence becomes one replacement character.
        let mut expected = String::new();
        for chunk in message.utf8_chunks() {
            expected.push_str(chunk.valid());
            expected.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
        }
        prop_assert_eq!(record, LogRecord { time, stream, message: expected.into_bytes(), attributes: BTreeMap::new() });
        // A general JSON parser agrees.
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        prop_assert!(json["log"].is_string());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let mut text = b"{\"log\":\"".to_vec();
        text.extend_from_slice(&bytes);
        let _ = decode(&text);
        text.extend_from_slice(b"\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}");
        let _ = decode(&text);
    }
}
