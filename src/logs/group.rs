//! Which lines belong together: the parts of one long line, and what a program wrote as several
//! lines, such as a stack trace.
//!
//! A line is judged by the line before it alone, so that a page of a log can begin anywhere. The
//! shapes are those of the stack traces of Java, Python, Go, Rust, Ruby and JavaScript; besides,
//! an indented line belongs to what is above it.

use chrono::TimeDelta;

use crate::Line;

/// No more lines than this are joined to one record.
pub const MOST_JOINED: usize = 200;

/// What a program writes as one comes at once.
const PAUSE: TimeDelta = TimeDelta::seconds(1);

/// Returns whether a line belongs to the record of the line before it, both of the same log.
pub fn continues(before: &Line, line: &Line) -> bool {
    if before.stream != line.stream {
        return false;
    }
    if !before.complete {
        return true;
    }
    if let (Some(then), Some(now)) = (before.time, line.time)
        && (now - then > PAUSE || now < then)
    {
        return false;
    }
    follows(&before.message, &line.message)
}

fn follows(before: &[u8], line: &[u8]) -> bool {
    if before.starts_with(b"{") || line.starts_with(b"{") {
        // Of JSON each line is a record.
        return false;
    }
    let starts = |heads: &[&str]| heads.iter().any(|head| line.starts_with(head.as_bytes()));
    let after = |heads: &[&str]| heads.iter().any(|head| before.starts_with(head.as_bytes()));
    match line.first() {
        Some(b' ' | b'\t') => return !line.trim_ascii().is_empty(),
        None => return after(&["panic: ", "fatal error: ", "[signal "]),
        _ => {}
    }
    if starts(&["Caused by: ", "Suppressed: ", "... ", "created by ", "stack backtrace:"])
        || matches!(line.trim_ascii_end(), b"}" | b"]" | b")" | b"});" | b"};")
    {
        return true;
    }
    let indented = matches!(before.first(), Some(b' ' | b'\t'));
    // Python ends with what happened, Java begins with it after the line that says where.
    if let Some(name) = exception(line)
        && (indented || name.contains(&b'.') || after(&["Traceback "]))
    {
        return true;
    }
    // Go: the signal, then goroutines with a function and its place in turn.
    if starts(&["[signal "]) {
        return after(&["panic: ", "fatal error: "]);
    }
    if starts(&["goroutine "]) && line.ends_with(b":") {
        return before.is_empty() || indented;
    }
    let in_go = after(&["goroutine "]) || indented && contains(before, b".go:");
    if in_go && line.ends_with(b")") {
        return true;
    }
    // Rust's last word.
    starts(&["note: run with `RUST_BACKTRACE", "note: Some details are omitted"])
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|part| part == what)
}

/// Returns the name of an exception that a line begins with: `java.io.IOException: closed`,
/// `KeyError: 'x'`.
fn exception(line: &[u8]) -> Option<&[u8]> {
    let name = line.split(|b| matches!(b, b':' | b' ')).next().unwrap_or_default();
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"._$".contains(b);
    let ends = ["Exception", "Error", "Interrupt", "Exit", "Warning", "Throwable"];
    let is = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(is_name)
        && ends.iter().any(|end| name.ends_with(end.as_bytes()));
    is.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::second;
    use wharf_model::LogStream;

    fn line(text: &str, at: u64) -> Line {
        Line {
            position: at,
            next: at + 1,
            time: Some(second(at)),
            stream: LogStream::Stderr,
            message: text.as_bytes().to_vec(),
            complete: true,
            cut: false,
            source: 0,
        }
    }

    /// Returns how many lines each record has.
    fn records(text: &str) -> Vec<usize> {
        let mut sizes: Vec<usize> = Vec::new();
        let mut before: Option<Line> = None;
        for text in text.lines() {
            let line = line(text, 1);
            match sizes.last_mut() {
                Some(last) if before.as_ref().is_some_and(|b| continues(b, &line)) => *last += 1,
                _ => sizes.push(1),
            }
            before = Some(line);
        }
        sizes
    }

    #[test]
    fn stack_traces_are_one_record() {
        for (name, text) in [
            (
                "java",
                "ERROR could not be stored\njava.lang.IllegalStateException: no order\n\tat \
                 demo.Shop.store(Shop.java:12)\nCaused by: java.io.IOException: closed\n\t... 2 \
                 more",
            ),
            (
                "java main",
                "Exception in thread \"main\" java.lang.Error: x\n\tat demo.Main.main(Main.java)",
            ),
            (
                "python",
                "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    \
                 main()\nKeyError: 'x'",
            ),
            (
                "go",
                "panic: runtime error: index out of range [5]\n\ngoroutine 1 [running]:\n\
                 main.main()\n\t/src/main.go:8 +0x1d\ncreated by main.start\n\t/src/main.go:3",
            ),
            (
                "node",
                "TypeError: x is not a function\n    at main (/app/a.js:3:5)\n    at node:internal",
            ),
            (
                "rust",
                "thread 'main' panicked at src/main.rs:2:5:\nstack backtrace:\n   0: \
                 rust_begin_unwind\n             at /rustc/x\nnote: run with \
                 `RUST_BACKTRACE=full`",
            ),
        ] {
            let mut sizes = records(&format!("INFO before\n{text}\nINFO after"));
            assert_eq!(sizes.remove(0), 1, "{name}");
            assert_eq!(sizes.pop(), Some(1), "{name}");
            // What a Rust panic says first is a line of its own.
            let wanted = text.lines().count();
            assert_eq!(sizes.iter().sum::<usize>(), wanted, "{name}");
            assert_eq!(sizes.len(), 1, "{name}: {sizes:?}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not_joined() {
        assert_eq!(records("INFO a\nINFO b\nError while reading\nINFO c"), [1, 1, 1, 1]);
        assert_eq!(records("{\"a\":1}\n{\"a\":2}"), [1, 1]);
        assert_eq!(records("one\n\ntwo"), [1, 1, 1]);
        let (a, mut b) = (line("a", 1), line("  b", 3));
        assert!(!continues(&a, &b), "too long after");
        b.time = a.time;
        assert!(continues(&a, &b));
        b.stream = LogStream::Stdout;
        assert!(!continues(&a, &b));
        let part = Line { complete: false, ..line("xx", 1) };
        assert!(continues(&part, &line("yy", 9)), "the rest of a long line");
    }
}
