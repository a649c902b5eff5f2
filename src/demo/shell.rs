//! `sh`: the least shell that is of use in the image: words and quotes, `$NAME`, `;` `&&` `||`,
//! `>` `>>` `<` `2>` `>&2`, and programs of the path. No pipes, no functions, no globs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use crate::complain;
use crate::tools::prompt;

/// A word, or one of the marks between words.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Mark(&'static str),
}

/// Longer marks first.
const MARKS: [&str; 10] = ["&&", "||", "2>&1", ">&2", "2>", ">>", ";", ">", "<", "|"];

/// `sh [-c COMMAND]`, or commands from standard input.
pub(crate) fn main(args: &[String]) -> i32 {
    if let [flag, command, ..] = args
        && flag == "-c"
    {
        return run(command, 0).unwrap_or_else(|code| code);
    }
    let interactive = io::stdin().is_terminal();
    let mut last = 0;
    loop {
        if interactive {
            let _ = write!(io::stdout(), "{}", prompt());
            let _ = io::stdout().flush();
        }
        let mut line = String::new();
        // Not locked: a program that is started reads the same input.
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => return last,
            Ok(_) => match run(&line, last) {
                Ok(code) => last = code,
                Err(code) => return code,
            },
        }
    }
}

/// Runs commands and returns the last one's exit code; an error is the code of `exit`.
fn run(text: &str, before: i32) -> Result<i32, i32> {
    let mut last = before;
    let mut tokens: VecDeque<Token> = match tokens(text) {
        Ok(tokens) => tokens.into(),
        Err(e) => {
            complain("sh", e);
            return Ok(2);
        }
    };
    let mut runs = true;
    while !tokens.is_empty() {
        let mut command = Vec::new();
        let mut mark = ";";
        while let Some(token) = tokens.pop_front() {
            match token {
                Token::Mark(m @ (";" | "&&" | "||")) => {
                    mark = m;
                    break;
                }
                token => command.push(token),
            }
        }
        if runs && !command.is_empty() {
            last = simple(&command, last)?;
        }
        runs = match mark {
            "&&" => last == 0,
            "||" => last != 0,
            _ => true,
        };
    }
    Ok(last)
}

/// Runs one command.
fn simple(tokens: &[Token], last: i32) -> Result<i32, i32> {
    let mut words = Vec::new();
    let mut streams = Streams::default();
    let mut rest = tokens.iter();
    while let Some(token) = rest.next() {
        let redirected = match token {
            Token::Word(word) => {
                words.push(expand(word, last));
                Ok(())
            }
            Token::Mark("|") => {
                Err(io::Error::other("pipes are not supported by this small shell"))
            }
            Token::Mark(">&2") => streams.same(true),
            Token::Mark("2>&1") => streams.same(false),
            Token::Mark(mark) => match rest.next() {
                Some(Token::Word(name)) => streams.open(mark, &expand(name, last)),
                _ => Err(io::Error::other(format!("{mark} needs a file"))),
            },
        };
        if let Err(e) = redirected {
            complain("sh", e);
            return Ok(2);
        }
    }
    let Some((name, args)) = words.split_first() else {
        return Ok(0);
    };
    match name.as_str() {
        "exit" => Err(args.first().and_then(|a| a.parse().ok()).unwrap_or(last)),
        ":" => Ok(0),
        "cd" => Ok(match std::env::set_current_dir(args.first().map_or("/", String::as_str)) {
            Ok(()) => 0,
            Err(e) => {
                complain("sh", format_args!("cd: {e}"));
                1
            }
        }),
        "exec" => match args.split_first() {
            Some((program, args)) => {
                let e = streams.apply(Command::new(program)).args(args).exec();
                complain("sh", format_args!("{program}: {e}"));
                Err(code_of(&e))
            }
            None => Ok(0),
        },
        _ => match streams.apply(Command::new(name)).args(args).status() {
            Ok(status) => {
                Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
            }
            Err(e) => {
                let what = if e.kind() == io::ErrorKind::NotFound {
                    "not found".to_owned()
                } else {
                    e.to_string()
                };
                complain("sh", format_args!("{name}: {what}"));
                Ok(code_of(&e))
            }
        },
    }
}

fn code_of(error: &io::Error) -> i32 {
    if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
}

/// Where a command's streams go, if not where the shell's go.
#[derive(Default)]
struct Streams {
    input: Option<File>,
    output: Option<File>,
    error: Option<File>,
}

impl Streams {
    fn open(&mut self, mark: &str, name: &str) -> io::Result<()> {
        let opened = match mark {
            "<" => File::open(name),
            ">>" => File::options().append(true).create(true).open(name),
            _ => File::create(name),
        };
        let file = opened.map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))?;
        match mark {
            "<" => self.input = Some(file),
            "2>" => self.error = Some(file),
            _ => self.output = Some(file),
        }
        Ok(())
    }

    /// Sends standard output where the errors go, or the errors where standard output goes.
    fn same(&mut self, to_error: bool) -> io::Result<()> {
        use std::os::fd::AsFd;
        let (from, standard) = if to_error {
            (&self.error, io::stderr().as_fd().try_clone_to_owned()?)
        } else {
            (&self.output, io::stdout().as_fd().try_clone_to_owned()?)
        };
        let file = match from {
            Some(file) => file.try_clone()?,
            None => File::from(standard),
        };
        if to_error {
            self.output = Some(file);
        } else {
            self.error = Some(file);
        }
        Ok(())
    }

    fn apply(self, mut command: Command) -> Command {
        if let Some(file) = self.input {
            command.stdin(Stdio::from(file));
        }
        if let Some(file) = self.output {
            command.stdout(Stdio::from(file));
        }
        if let Some(file) = self.error {
            command.stderr(Stdio::from(file));
        }
        command
    }
}

/// In single quotes and after a backslash nothing is special; a byte 1 before a `$` says so until
/// the word is expanded.
const LITERAL: char = '\u{1}';

fn tokens(text: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.trim();
    while let Some(c) = rest.chars().next() {
        let mark = MARKS.iter().find(|m| {
            // A digit belongs to a mark only where a word begins.
            rest.starts_with(**m) && (word.is_none() || !m.starts_with('2'))
        });
        if let Some(mark) = mark {
            tokens.extend(word.take().map(Token::Word));
            tokens.push(Token::Mark(mark));
            rest = &rest[mark.len()..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => {
                tokens.extend(word.take().map(Token::Word));
                tokens.push(Token::Mark(";"));
            }
            c if c.is_whitespace() => tokens.extend(word.take().map(Token::Word)),
            '#' if word.is_none() => rest = rest.find('\n').map_or("", |at| &rest[at..]),
            '\'' => {
                let (inside, after) = rest.split_once('\'').ok_or("a quote has no end")?;
                word.get_or_insert_default().push_str(&literal(inside));
                rest = after;
            }
            '"' => rest = double_quoted(rest, word.get_or_insert_default())?,
            '\\' => {
                let next = rest.chars().next().ok_or("nothing follows a backslash")?;
                word.get_or_insert_default().push_str(&literal(next.encode_utf8(&mut [0; 4])));
                rest = &rest[next.len_utf8()..];
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    tokens.extend(word.map(Token::Word));
    Ok(tokens)
}

fn double_quoted<'a>(mut rest: &'a str, word: &mut String) -> Result<&'a str, &'static str> {
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return Ok(rest),
            '\\' if rest.starts_with(['"', '\\', '$']) => {
                word.push_str(&literal(&rest[..1]));
                rest = &rest[1..];
            }
            c => word.push(c),
        }
    }
    Err("a quote has no end")
}

fn literal(text: &str) -> String {
    text.replace('$', &format!("{LITERAL}$"))
}

/// Puts in the values of `$NAME`, `${NAME}`, `$?` and `$$`.
fn expand(word: &str, last: i32) -> String {
    let mut result = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(['$', LITERAL]) {
        result.push_str(&rest[..at]);
        if rest[at..].starts_with(LITERAL) {
            result.push('$');
            rest = rest.get(at + 2..).unwrap_or_default();
            continue;
        }
        let after = &rest[at + 1..];
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let length = after.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        (rest, ()) = match (after.as_bytes().first(), braced) {
            (Some(b'?'), _) => (&after[1..], result.push_str(&last.to_string())),
            (Some(b'$'), _) => (&after[1..], result.push_str(&std::process::id().to_string())),
            (_, Some((name, rest))) => (rest, result.push_str(&variable(name))),
            _ if length > 0 => (&after[length..], result.push_str(&variable(&after[..length]))),
            _ => (after, result.push('$')),
        };
    }
    result.push_str(rest);
    result
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_quotes_and_marks_are_told_apart() {
        let word = |text: &str| Token::Word(text.to_owned());
        assert_eq!(
            tokens("echo 'a  b'\"c d\"\\ e>f 2>&1;x2>y # no").unwrap(),
            [
                word("echo"),
                word("a  bc d e"),
                Token::Mark(">"),
                word("f"),
                Token::Mark("2>&1"),
                Token::Mark(";"),
                word("x2"),
                Token::Mark(">"),
                word("y"),
            ]
        );
        assert!(tokens("echo 'x").is_err() && tokens("x \"").is_err() && tokens("\\").is_err());
        assert_eq!(tokens("''").unwrap(), [word("")]);
    }

    #[test]
    fn variables_are_put_in_unless_quoted() {
        let all = |text: &str| match &tokens(text).unwrap()[..] {
            [Token::Word(word)] => expand(word, 7),
            other => panic!("{other:?}"),
        };
        let path = std::env::var("PATH").unwrap();
        assert_eq!(all("$PATH"), path);
        assert_eq!(all("\"a${PATH}b\""), format!("a{path}b"));
        assert_eq!(all("'$PATH'"), "$PATH");
        assert_eq!(all("\\$?$?$"), "$?7$");
        assert_eq!(all("x$wharf_no_such_variable"), "x");
    }

    #[test]
    fn exit_codes_steer() {
        assert_eq!(run("true && false", 0), Ok(1));
        assert_eq!(run("false || exit 3; exit 4", 0), Err(3));
        assert_eq!(run("false && exit 3; exit $?", 0), Err(1));
        assert_eq!(run("/wharf/no/such/program", 0), Ok(127));
        assert_eq!(run("", 5), Ok(5));
    }

    #[test]
    fn streams_go_to_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let file = file.display();
        assert_eq!(run(&format!("echo one > {file} && echo two >> {file}"), 0), Ok(0));
        assert_eq!(std::fs::read_to_string(file.to_string()).unwrap(), "one\ntwo\n");
        assert_eq!(run(&format!("cat /wharf-none 2> {file}"), 0), Ok(1));
        assert!(std::fs::read_to_string(file.to_string()).unwrap().contains("wharf-none"));
    }
}
