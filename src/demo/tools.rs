//! The least of the usual tools: enough to look round in the image and to test an engine.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::Duration;

use crate::signals::Signals;
use crate::{complain, http};

/// `sleep [SECONDS|infinity]`, with suffixes `s`, `m`, `h` and `d`.
pub(crate) fn sleep(args: &[String]) -> i32 {
    let text = args.first().map_or("infinity", String::as_str);
    let Some(time) = duration(text) else {
        complain("sleep", format_args!("invalid time interval {text:?}"));
        return 1;
    };
    match Signals::take() {
        Ok(signals) => signals.sleep(time).unwrap_or(0),
        Err(e) => {
            complain("sleep", e);
            1
        }
    }
}

/// Returns how long a text says; the inner none is for ever, the outer one nonsense.
fn duration(text: &str) -> Option<Option<Duration>> {
    if matches!(text, "infinity" | "inf") {
        return Some(None);
    }
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(number) => (number, text.as_bytes().last().copied()),
        None => (text, None),
    };
    let factor = match unit {
        Some(b'm') => 60.0,
        Some(b'h') => 3600.0,
        Some(b'd') => 86_400.0,
        _ => 1.0,
    };
    let seconds: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(seconds * factor).ok().map(Some)
}

/// `echo [-n] WORDS`.
pub(crate) fn echo(args: &[String]) -> i32 {
    let (words, end) = match args.split_first() {
        Some((first, rest)) if first == "-n" => (rest, ""),
        _ => (args, "\n"),
    };
    written("echo", write!(io::stdout(), "{}{end}", words.join(" ")))
}

/// `cat [FILE…]`, `-` is standard input.
pub(crate) fn cat(args: &[String]) -> i32 {
    let mut code = 0;
    let standard_input = ["-".to_owned()];
    for name in if args.is_empty() { &standard_input[..] } else { args } {
        let opened: io::Result<Box<dyn Read>> = match name.as_str() {
            "-" => Ok(Box::new(io::stdin().lock())),
            name => File::open(name).map(|f| Box::new(f) as Box<dyn Read>),
        };
        let copied = opened.and_then(|mut from| {
            // Through no buffer, so that what is typed comes back at once.
            let mut buffer = [0; 8192];
            let mut out = io::stdout().lock();
            loop {
                match from.read(&mut buffer)? {
                    0 => return Ok(()),
                    n => out.write_all(&buffer[..n]).and_then(|()| out.flush())?,
                }
            }
        });
        if let Err(e) = copied {
            complain("cat", format_args!("{name}: {e}"));
            code = 1;
        }
    }
    code
}

/// `env`.
pub(crate) fn env(_args: &[String]) -> i32 {
    let mut text = Vec::new();
    for (name, value) in std::env::vars_os() {
        text.extend_from_slice(name.as_encoded_bytes());
        text.push(b'=');
        text.extend_from_slice(value.as_encoded_bytes());
        text.push(b'\n');
    }
    written("env", io::stdout().write_all(&text))
}

/// `id`, in numbers.
pub(crate) fn id(_args: &[String]) -> i32 {
    let status = match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => status,
        Err(e) => {
            complain("id", format_args!("/proc/self/status: {e}"));
            return 1;
        }
    };
    written("id", writeln!(io::stdout(), "{}", describe(&status)))
}

fn describe(status: &str) -> String {
    let field = |name: &str| -> Vec<&str> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().split_whitespace().collect()
    };
    // Real, effective, saved and filesystem ids.
    let effective = |name: &str| field(name).get(1).copied().unwrap_or("?").to_owned();
    let mut groups = field("Groups:");
    let gid = effective("Gid:");
    if !groups.contains(&gid.as_str()) {
        groups.insert(0, &gid);
    }
    format!("uid={} gid={gid} groups={}", effective("Uid:"), groups.join(","))
}

/// `ls [-l] [PATH…]`: names, sorted; with `-l` mode, owner, size and where links lead.
pub(crate) fn ls(args: &[String]) -> i32 {
    let (flags, paths): (Vec<_>, Vec<_>) = args.iter().partition(|a| a.starts_with('-'));
    let long = flags.iter().any(|f| f.contains('l'));
    let here = ".".to_owned();
    let paths = if paths.is_empty() { vec![&here] } else { paths };
    let mut code = 0;
    for path in paths {
        let listed = names(path).and_then(|names| {
            let mut text = String::new();
            for name in names {
                let at = std::path::Path::new(path).join(&name);
                if long {
                    text.push_str(&facts(&at)?);
                }
                text.push_str(&name);
                if let (true, Ok(target)) = (long, std::fs::read_link(&at)) {
                    text.push_str(&format!(" -> {}", target.display()));
                }
                text.push('\n');
            }
            io::stdout().write_all(text.as_bytes())
        });
        if let Err(e) = listed {
            complain("ls", format_args!("{path}: {e}"));
            code = 1;
        }
    }
    code
}

fn names(path: &str) -> io::Result<Vec<String>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut names = std::fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

fn facts(path: &std::path::Path) -> io::Result<String> {
    let metadata = std::fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let letter = match () {
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_char_device() => 'c',
        () if kind.is_block_device() => 'b',
        () if kind.is_fifo() => 'p',
        () if kind.is_socket() => 's',
        () => '-',
    };
    let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
    Ok(format!("{letter}{mode:04o} {uid:>5} {gid:>5} {:>10} ", metadata.len()))
}

fn written(program: &str, result: io::Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(e) => {
            complain(program, format_args!("write error: {e}"));
            1
        }
    }
}

/// Returns what an interactive shell shows before a command.
pub(crate) fn prompt() -> String {
    let folder = std::env::current_dir()
        .map_or_else(|_| "?".to_owned(), |folder| folder.display().to_string());
    format!("{}:{folder}# ", http::hostname())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_units() {
        assert_eq!(duration("1.5"), Some(Some(Duration::from_millis(1500))));
        assert_eq!(duration("2m"), Some(Some(Duration::from_secs(120))));
        assert_eq!(duration("infinity"), Some(None));
        assert_eq!((duration("x"), duration("-1"), duration("")), (None, None, None));
    }

    #[test]
    fn ids_are_the_effective_ones() {
        let status = "Name:\tid\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n";
        assert_eq!(describe(status), "uid=2 gid=6 groups=6,9,10");
    }
}
