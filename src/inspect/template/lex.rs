//! From text to tokens.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What stands outside of actions.
    Text,
    /// `{{`.
    Left,
    /// `}}`.
    Right,
    Space,
    /// `=`.
    Assign,
    /// `:=`.
    Declare,
    Pipe,
    LeftParen,
    RightParen,
    /// `.`.
    Dot,
    /// `.name`.
    Field,
    /// `$name`.
    Variable,
    /// A function's name.
    Identifier,
    Bool,
    Number,
    /// `'a'`.
    Character,
    /// `"a"`.
    Quoted,
    /// A text in backquotes.
    Raw,
    /// `if`, `end`, `nil`, ….
    Keyword,
    /// Any other character, a comma for one.
    Char,
    /// What can't be read; the text says why.
    Error,
    End,
}

/// A token, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Where it begins, in bytes.
    pub(super) at: usize,
    /// The line it begins in, from 1.
    pub(super) line: usize,
    pub(super) text: String,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::End => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            Kind::Keyword => write!(f, "<{}>", self.text),
            // Go counts the dot among its keywords.
            Kind::Dot => f.write_str("<.>"),
            _ if self.text.chars().count() > 10 => {
                let start: String = self.text.chars().take(10).collect();
                write!(f, "{}...", crate::text::quote(&start))
            }
            _ => f.write_str(&crate::text::quote(&self.text)),
        }
    }
}

const KEYWORDS: [&str; 11] = [
    "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with",
];

/// Returns the tokens; the last one is the end or an error.
pub(super) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new() };
    if let Err(message) = lexer.run() {
        lexer.push(Kind::Error, lexer.at, message);
    }
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, kind: Kind, at: usize, text: impl Into<String>) {
        self.tokens.push(Token { kind, at, line: self.line, text: text.into() });
    }

    /// Takes the next `length` bytes as a token.
    fn take(&mut self, kind: Kind, length: usize) {
        let text = &self.rest()[..length];
        self.push(kind, self.at, text);
        self.skip(length);
    }

    fn skip(&mut self, length: usize) {
        self.line += self.rest()[..length].matches('\n').count();
        self.at += length;
    }

    fn run(&mut self) -> Result<(), String> {
        loop {
            let Some(start) = self.rest().find("{{") else {
                if !self.rest().is_empty() {
                    self.take(Kind::Text, self.rest().len());
                }
                self.push(Kind::End, self.at, "");
                return Ok(());
            };
            let trims = |rest: &str| {
                rest.starts_with('-') && rest[1..].chars().next().is_some_and(is_space)
            };
            let trim = trims(&self.rest()[start + 2..]);
            let before = &self.rest()[..start];
            let kept = if trim { before.trim_end_matches(is_space) } else { before };
            if !kept.is_empty() {
                self.take(Kind::Text, kept.len());
            }
            self.skip(start - kept.len());
            let marker = if trim { 2 } else { 0 };
            if self.rest()[2 + marker..].starts_with("/*") {
                self.skip(2 + marker);
                self.comment()?;
            } else {
                self.take(Kind::Left, 2);
                self.skip(marker);
                self.action()?;
            }
        }
    }

    /// Returns the length of `}}`, or of ` -}}`, when it comes next.
    fn right(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            return Some((2, false));
        }
        let trimmed = rest.strip_prefix(is_space)?;
        trimmed.starts_with("-}}").then_some((4, true))
    }

    fn close(&mut self, length: usize, trim: bool) {
        self.skip(length);
        if trim {
            let rest = self.rest();
            self.skip(rest.len() - rest.trim_start_matches(is_space).len());
        }
    }

    fn comment(&mut self) -> Result<(), String> {
        let end = self.rest().find("*/").ok_or("unclosed comment")?;
        self.skip(end + 2);
        let (length, trim) = self.right().ok_or("comment ends before closing delimiter")?;
        self.close(length, trim);
        Ok(())
    }

    fn action(&mut self) -> Result<(), String> {
        let mut open = 0_usize;
        loop {
            if let Some((length, trim)) = self.right() {
                if open > 0 {
                    return Err("unclosed left paren".to_owned());
                }
                self.push(Kind::Right, self.at, "}}");
                self.close(length, trim);
                return Ok(());
            }
            let Some(c) = self.peek() else { return Err("unclosed action".to_owned()) };
            let second = self.rest().chars().nth(1);
            match c {
                c if is_space(c) => self.spaces(),
                '=' => self.take(Kind::Assign, 1),
                ':' if second == Some('=') => self.take(Kind::Declare, 2),
                ':' => return Err("expected :=".to_owned()),
                '|' => self.take(Kind::Pipe, 1),
                '"' => self.quoted('"', Kind::Quoted, "unterminated quoted string")?,
                '\'' => self.quoted('\'', Kind::Character, "unterminated character constant")?,
                '`' => {
                    let length = self.rest()[1..].find('`');
                    let length = length.ok_or("unterminated raw quoted string")?;
                    self.take(Kind::Raw, length + 2);
                }
                '$' => self.name(Kind::Variable, Kind::Variable)?,
                '.' if !second.is_some_and(|c| c.is_ascii_digit()) => {
                    self.name(Kind::Field, Kind::Dot)?;
                }
                '+' | '-' | '.' | '0'..='9' => self.number()?,
                c if is_word(c) => self.word()?,
                '(' => {
                    open += 1;
                    self.take(Kind::LeftParen, 1);
                }
                ')' => {
                    open = open.checked_sub(1).ok_or("unexpected right paren")?;
                    self.take(Kind::RightParen, 1);
                }
                c if c.is_ascii_graphic() => self.take(Kind::Char, 1),
                c => return Err(format!("unrecognized character in action: {}", shown(c))),
            }
        }
    }

    /// Takes spaces, but not the one that belongs to ` -}}`.
    fn spaces(&mut self) {
        let mut length = 0;
        for (index, c) in self.rest().char_indices() {
            let marker = index > 0 && self.rest()[index + c.len_utf8()..].starts_with("-}}");
            if !is_space(c) || marker {
                break;
            }
            length = index + 1;
        }
        self.take(Kind::Space, length);
    }

    /// Refuses what can't follow a name.
    fn check_end(&self, at: usize) -> Result<(), String> {
        let rest = &self.text[at..];
        match rest.chars().next() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => Ok(()),
            Some(c) if is_space(c) || rest.starts_with("}}") => Ok(()),
            Some(c) => Err(format!("bad character {}", shown(c))),
        }
    }

    fn name(&mut self, kind: Kind, bare: Kind) -> Result<(), String> {
        let word = self.rest()[1..].find(|c| !is_word(c)).unwrap_or(self.rest().len() - 1);
        self.check_end(self.at + 1 + word)?;
        self.take(if word == 0 { bare } else { kind }, word + 1);
        Ok(())
    }

    fn word(&mut self) -> Result<(), String> {
        let length = self.rest().find(|c| !is_word(c)).unwrap_or(self.rest().len());
        self.check_end(self.at + length)?;
        let kind = match &self.rest()[..length] {
            "true" | "false" => Kind::Bool,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.take(kind, length);
        Ok(())
    }

    /// Takes what has the shape of a number; whether it is one shows later.
    fn number(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let run = |from: usize, digits: &str| {
            let tail = &rest[from..];
            from + tail.find(|c| !digits.contains(c)).unwrap_or(tail.len())
        };
        let one = |from: usize, any: &str| {
            from + usize::from(rest[from..].starts_with(|c| any.contains(c)))
        };
        let mut end = one(0, "+-");
        let prefix = rest[end..].get(..2).unwrap_or_default().to_ascii_lowercase();
        let (digits, exponent) = match prefix.as_str() {
            "0x" => ("0123456789abcdefABCDEF_", "pP"),
            "0o" => ("01234567_", ""),
            "0b" => ("01_", ""),
            _ => ("0123456789_", "eE"),
        };
        if digits.len() != 11 {
            end += 2;
        }
        end = run(end, digits);
        if rest[end..].starts_with('.') {
            end = run(end + 1, digits);
        }
        if rest[end..].starts_with(|c| exponent.contains(c)) {
            end = run(one(end + 1, "+-"), "0123456789_");
        }
        if let Some(c) = rest[end..].chars().next().filter(|c| is_word(*c)) {
            let text = &rest[..end + c.len_utf8()];
            return Err(format!("bad number syntax: {}", crate::text::quote(text)));
        }
        self.take(Kind::Number, end);
        Ok(())
    }

    fn quoted(&mut self, end: char, kind: Kind, unterminated: &str) -> Result<(), String> {
        let mut escaped = false;
        for (index, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == end => {
                    self.take(kind, index + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(unterminated.to_owned())
    }
}

/// Returns a character as Go shows one: `U+0024 '$'`.
fn shown(c: char) -> String {
    if crate::text::is_printable(c) {
        format!("U+{:04X} '{c}'", u32::from(c))
    } else {
        format!("U+{:04X}", u32::from(c))
    }
}
