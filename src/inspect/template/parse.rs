//! From tokens to a tree.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::TemplateError;
use super::functions;
use super::lex::{Kind, Token, lex};
use super::value::Value;

type Result<T> = std::result::Result<T, TemplateError>;

/// How deep parentheses, blocks and `else if` may be nested.
const DEEPEST: usize = 100;

/// What is executed one after the other.
pub(super) type Block = Vec<Node>;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Printed as it is.
    Text(String),
    /// Printed, or assigned.
    Action(Pipe),
    /// `if`, `with` and `range`.
    Control {
        kind: Control,
        pipe: Pipe,
        body: Block,
        otherwise: Block,
    },
    /// `template "name" pipeline`.
    Template {
        at: usize,
        name: String,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    If,
    With,
    Range,
}

impl Control {
    fn word(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::With => "with",
            Self::Range => "range",
        }
    }
}

/// Commands, each one's result the last argument of the next.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) at: usize,
    /// Variables that get the result.
    pub(super) variables: Vec<String>,
    /// Whether these exist already.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// A function or value with its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) at: usize,
    pub(super) words: Vec<Operand>,
}

/// One word of a command, and where it is.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) kind: OperandKind,
}

#[derive(Clone, Debug)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    /// `.a.b`.
    Field(Vec<String>),
    /// `$x.a`: the variable first.
    Variable(Vec<String>),
    /// `(pipeline).a`.
    Chain(Box<Operand>, Vec<String>),
    Function(String),
    /// A number, text or truth value, and how it was written.
    Constant(Value, String),
    Pipe(Pipe),
}

impl Pipe {
    /// Returns the word that is evaluated last, which is where Go sees what goes wrong afterwards.
    pub(super) fn last(&self) -> Option<&Operand> {
        Some(self.commands.last()?.words.last()?.last())
    }

    pub(super) fn mentions(&self, field: &str) -> bool {
        self.commands.iter().flat_map(|command| &command.words).any(|word| word.mentions(field))
    }
}

impl Operand {
    /// Returns the word in it that is evaluated last.
    pub(super) fn last(&self) -> &Self {
        match &self.kind {
            OperandKind::Pipe(pipe) => pipe.last().unwrap_or(self),
            OperandKind::Chain(operand, _) => operand.last(),
            _ => self,
        }
    }

    fn mentions(&self, field: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == field);
        match &self.kind {
            OperandKind::Field(names) | OperandKind::Variable(names) => named(names),
            OperandKind::Chain(operand, names) => named(names) || operand.mentions(field),
            OperandKind::Pipe(pipe) => pipe.mentions(field),
            OperandKind::Dot
            | OperandKind::Nil
            | OperandKind::Function(_)
            | OperandKind::Constant(..) => false,
        }
    }
}

impl Display for Pipe {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            write!(f, "{}{command}", if index > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, word) in self.words.iter().enumerate() {
            write!(f, "{}{word}", if index > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut Formatter<'_>, names: &[String]| {
            names.iter().try_for_each(|name| write!(f, ".{name}"))
        };
        match &self.kind {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Field(names) => fields(f, names),
            OperandKind::Variable(names) => f.write_str(&names.join(".")),
            OperandKind::Chain(operand, names) => {
                write!(f, "{operand}")?;
                fields(f, names)
            }
            OperandKind::Function(text) | OperandKind::Constant(_, text) => f.write_str(text),
            OperandKind::Pipe(pipe) => write!(f, "({pipe})"),
        }
    }
}

/// Returns the main block and those with names.
pub(super) fn parse(name: &str, text: &str) -> Result<(Block, BTreeMap<String, Block>)> {
    let mut parser = Parser {
        name,
        tokens: lex(text),
        next: 0,
        action_line: 0,
        variables: vec!["$".to_owned()],
        ranges: 0,
        depth: 0,
        named: BTreeMap::new(),
    };
    let root = parser.root()?;
    Ok((root, parser.named))
}

/// How a list of nodes ended.
enum Ended {
    End,
    /// An `else`; the word after it, `if` or `with`, may come next.
    Else,
}

impl Ended {
    fn text(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Ended(Ended),
}

struct Parser<'a> {
    name: &'a str,
    tokens: Vec<Token>,
    next: usize,
    /// The line of the action that is read.
    action_line: usize,
    variables: Vec<String>,
    /// How many `range` are open.
    ranges: usize,
    depth: usize,
    named: BTreeMap<String, Block>,
}

impl Parser<'_> {
    /// Returns the token at a place; behind the last one is the last one again.
    fn token(&self, index: usize) -> &Token {
        &self.tokens[index.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &Token {
        self.token(self.next)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn skip_spaces(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_word(&mut self) -> &Token {
        self.skip_spaces();
        self.peek()
    }

    fn take_word(&mut self) -> Token {
        self.skip_spaces();
        self.take()
    }

    fn fail<T>(&self, message: impl Display) -> Result<T> {
        // The line of what was read last.
        let line = self.token(self.next.saturating_sub(1)).line;
        Err(TemplateError(format!("template: {}:{line}: {message}", self.name)))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T> {
        if token.kind != Kind::Error {
            return self.fail(format_args!("unexpected {token} in {context}"));
        }
        let begun = if self.action_line != 0 && self.action_line != token.line {
            let action = if token.text.ends_with(" action") { "" } else { " in action" };
            format!("{action} started at {}:{}", self.name, self.action_line)
        } else {
            String::new()
        };
        self.fail(format_args!("{token}{begun}"))
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEEPEST {
            return self.fail(format_args!("nested more than {DEEPEST} deep"));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn root(&mut self) -> Result<Block> {
        let mut nodes = Vec::new();
        while self.peek_word().kind != Kind::End {
            let begin = self.next;
            if self.take().kind == Kind::Left {
                let token = self.take_word();
                if token.kind == Kind::Keyword && token.text == "define" {
                    self.define()?;
                    continue;
                }
            }
            self.next = begin;
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ended(ended) => {
                    return self.fail(format_args!("unexpected {}", ended.text()));
                }
            }
        }
        Ok(nodes)
    }

    fn list(&mut self) -> Result<(Block, Ended)> {
        self.deeper(|this| {
            let mut nodes = Vec::new();
            while this.peek_word().kind != Kind::End {
                match this.item()? {
                    Item::Node(node) => nodes.push(node),
                    Item::Ended(ended) => return Ok((nodes, ended)),
                }
            }
            this.take();
            this.fail("unexpected EOF")
        })
    }

    fn item(&mut self) -> Result<Item> {
        let token = self.take_word();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::Left => {
                self.action_line = token.line;
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Result<Item> {
        let token = self.take_word();
        let word = if token.kind == Kind::Keyword { token.text.as_str() } else { "" };
        let node = match word {
            "if" => self.control(Control::If)?,
            "with" => self.control(Control::With)?,
            "range" => self.control(Control::Range)?,
            "template" => self.template()?,
            "block" => self.block(token.at)?,
            "break" | "continue" => {
                let action = format!("{{{{{word}}}}}");
                self.expect(Kind::Right, &action)?;
                if self.ranges == 0 {
                    return self.fail(format_args!("{action} outside {{{{range}}}}"));
                }
                if word == "break" { Node::Break } else { Node::Continue }
            }
            "end" => {
                self.expect(Kind::Right, "end")?;
                return Ok(Item::Ended(Ended::End));
            }
            "else" => {
                let next = self.peek_word();
                let continued =
                    next.kind == Kind::Keyword && matches!(next.text.as_str(), "if" | "with");
                if !continued {
                    self.expect(Kind::Right, "else")?;
                }
                return Ok(Item::Ended(Ended::Else));
            }
            _ => {
                self.next -= 1;
                Node::Action(self.pipe("command", Kind::Right)?)
            }
        };
        Ok(Item::Node(node))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token> {
        let token = self.take_word();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn control(&mut self, kind: Control) -> Result<Node> {
        let known = self.variables.len();
        let pipe = self.pipe(kind.word(), Kind::Right)?;
        let range = usize::from(kind == Control::Range);
        self.ranges += range;
        let (body, ended) = self.list()?;
        self.ranges -= range;
        let mut otherwise = Vec::new();
        if matches!(ended, Ended::Else) {
            let next = self.peek();
            if next.kind == Kind::Keyword && kind != Control::Range && next.text == kind.word() {
                self.next += 1;
                otherwise.push(self.deeper(|this| this.control(kind))?);
            } else {
                let (nodes, ended) = self.list()?;
                if !matches!(ended, Ended::End) {
                    return self.fail(format_args!("expected end; found {}", ended.text()));
                }
                otherwise = nodes;
            }
        }
        self.variables.truncate(known);
        Ok(Node::Control { kind, pipe, body, otherwise })
    }

    fn template_name(&mut self, context: &str) -> Result<String> {
        let token = self.take_word();
        match token.kind {
            Kind::Quoted | Kind::Raw => self.unquoted(&token),
            _ => self.unexpected(&token, context),
        }
    }

    fn template(&mut self) -> Result<Node> {
        let context = "template clause";
        let at = self.peek_word().at;
        let name = self.template_name(context)?;
        let pipe = if self.peek_word().kind == Kind::Right {
            self.next += 1;
            None
        } else {
            Some(self.pipe(context, Kind::Right)?)
        };
        Ok(Node::Template { at, name, pipe })
    }

    fn block(&mut self, at: usize) -> Result<Node> {
        let context = "block clause";
        let name = self.template_name(context)?;
        let pipe = self.pipe(context, Kind::Right)?;
        self.named_block(&name, context)?;
        Ok(Node::Template { at, name, pipe: Some(pipe) })
    }

    fn define(&mut self) -> Result<()> {
        let context = "define clause";
        let name = self.template_name(context)?;
        self.expect(Kind::Right, context)?;
        self.named_block(&name, context)
    }

    /// Reads what a name stands for; it knows nothing of the variables around it.
    fn named_block(&mut self, name: &str, context: &str) -> Result<()> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (nodes, ended) = self.list()?;
        if !matches!(ended, Ended::End) {
            return self.fail(format_args!("unexpected {} in {context}", ended.text()));
        }
        (self.variables, self.ranges) = (variables, ranges);
        // Text that is only space doesn't replace what is there.
        let blank = |nodes: &Block| {
            nodes.iter().all(|n| matches!(n, Node::Text(text) if text.trim().is_empty()))
        };
        match self.named.get(name) {
            Some(known) if !blank(known) && !blank(&nodes) => {
                let name = crate::text::quote(name);
                return self.fail(format_args!("template: multiple definition of template {name}"));
            }
            Some(_) if blank(&nodes) => {}
            _ => {
                self.named.insert(name.to_owned(), nodes);
            }
        }
        Ok(())
    }

    fn pipe(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        self.deeper(|this| this.pipe_here(context, end))
    }

    fn pipe_here(&mut self, context: &str, end: Kind) -> Result<Pipe> {
        let at = self.peek_word().at;
        let mut pipe = Pipe { at, variables: Vec::new(), assigns: false, commands: Vec::new() };
        while self.peek_word().kind == Kind::Variable {
            let begin = self.next;
            let variable = self.take();
            let next = self.peek_word().clone();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.next += 1;
                    pipe.assigns = next.kind == Kind::Assign;
                    self.variables.push(variable.text.clone());
                    pipe.variables.push(variable.text);
                }
                Kind::Char if next.text == "," => {
                    self.next += 1;
                    self.variables.push(variable.text.clone());
                    pipe.variables.push(variable.text);
                    if context == "range" && pipe.variables.len() < 2 {
                        match self.peek_word().kind {
                            Kind::Variable | Kind::Right | Kind::RightParen => continue,
                            _ => return self.fail("range can only initialize variables"),
                        }
                    }
                    return self.fail(format_args!("too many declarations in {context}"));
                }
                _ => self.next = begin,
            }
            break;
        }
        loop {
            let token = self.take_word();
            match token.kind {
                kind if kind == end => break,
                Kind::Keyword if token.text == "nil" => {}
                Kind::Bool
                | Kind::Character
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Raw
                | Kind::Quoted
                | Kind::Variable
                | Kind::LeftParen => {}
                _ => return self.unexpected(&token, context),
            }
            self.next -= 1;
            let command = self.command()?;
            pipe.commands.push(command);
        }
        if pipe.commands.is_empty() {
            return self.fail(format_args!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            let callable = !matches!(
                command.words.first().map(|word| &word.kind),
                Some(OperandKind::Constant(..) | OperandKind::Dot | OperandKind::Nil)
            );
            if !callable {
                let stage = index + 1;
                return self.fail(format_args!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(pipe)
    }

    fn command(&mut self) -> Result<Command> {
        let at = self.peek_word().at;
        let mut command = Command { at, words: Vec::new() };
        loop {
            self.skip_spaces();
            if let Some(operand) = self.operand()? {
                command.words.push(operand);
            }
            let token = self.take();
            match token.kind {
                Kind::Space => continue,
                Kind::Right | Kind::RightParen => self.next -= 1,
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if command.words.is_empty() {
            return self.fail("empty command");
        }
        Ok(command)
    }

    fn operand(&mut self) -> Result<Option<Operand>> {
        let Some(operand) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let at = self.peek().at;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(self.take().text.split_off(1));
        }
        let kind = match operand.kind {
            OperandKind::Field(mut first) => {
                first.append(&mut names);
                OperandKind::Field(first)
            }
            OperandKind::Variable(mut first) => {
                first.append(&mut names);
                OperandKind::Variable(first)
            }
            OperandKind::Pipe(_) | OperandKind::Function(_) => {
                OperandKind::Chain(Box::new(operand), names)
            }
            OperandKind::Dot
            | OperandKind::Nil
            | OperandKind::Constant(..)
            | OperandKind::Chain(..) => {
                let text = crate::text::quote(&operand.to_string());
                return self.fail(format_args!("unexpected . after term {text}"));
            }
        };
        Ok(Some(Operand { at, kind }))
    }

    fn term(&mut self) -> Result<Option<Operand>> {
        let token = self.take_word();
        let kind = match token.kind {
            Kind::Identifier => {
                if !functions::exists(&token.text) {
                    return self.fail(format_args!("function {:?} not defined", token.text));
                }
                OperandKind::Function(token.text)
            }
            Kind::Dot => OperandKind::Dot,
            Kind::Keyword if token.text == "nil" => OperandKind::Nil,
            Kind::Variable => {
                if !self.variables.contains(&token.text) {
                    return self.fail(format_args!("undefined variable {:?}", token.text));
                }
                OperandKind::Variable(vec![token.text])
            }
            Kind::Field => OperandKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => OperandKind::Constant(Value::Bool(token.text == "true"), token.text),
            Kind::Number => match number(&token.text) {
                Some(value) => OperandKind::Constant(value, token.text),
                None => return self.fail(format_args!("illegal number syntax: {:?}", token.text)),
            },
            Kind::Character => match character(&token.text) {
                Some(c) => OperandKind::Constant(Value::Int(i64::from(u32::from(c))), token.text),
                None => {
                    return self.fail(format_args!("malformed character constant: {}", token.text));
                }
            },
            Kind::Quoted | Kind::Raw => {
                let text = self.unquoted(&token)?;
                OperandKind::Constant(text.into(), token.text)
            }
            Kind::LeftParen => {
                OperandKind::Pipe(self.pipe("parenthesized pipeline", Kind::RightParen)?)
            }
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Operand { at: token.at, kind }))
    }

    fn unquoted(&self, token: &Token) -> Result<String> {
        let inner = token.text.get(1..token.text.len() - 1).unwrap_or_default();
        if token.kind == Kind::Raw {
            return Ok(inner.replace('\r', ""));
        }
        match unescape(inner, '"') {
            Some(text) => Ok(text),
            None => self.fail("invalid syntax"),
        }
    }
}

/// Returns what `'a'` means.
fn character(text: &str) -> Option<char> {
    let inner = unescape(text.strip_prefix('\'')?.strip_suffix('\'')?, '\'')?;
    let mut characters = inner.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// Returns a text without Go's escapes; none when one is wrong. Escaped bytes that make no UTF-8
/// become U+FFFD.
fn unescape(text: &str, quote: char) -> Option<String> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            out.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.chars().next()?;
        // How many digits of what radix follow, the escape's own letter among them for octal.
        let (skip, count, radix) = match escape {
            'x' => (1, 2, 16),
            'u' => (1, 4, 16),
            'U' => (1, 8, 16),
            '0'..='7' => (0, 3, 8),
            _ => {
                out.push(match escape {
                    'a' => 7,
                    'b' => 8,
                    'f' => 12,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'v' => 11,
                    '\\' => b'\\',
                    c if c == quote => u8::try_from(c).ok()?,
                    _ => return None,
                });
                rest = &rest[1..];
                continue;
            }
        };
        let digits = rest.get(skip..skip + count)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        let number = u32::from_str_radix(digits, radix).ok()?;
        if matches!(escape, 'u' | 'U') {
            out.extend(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            out.push(u8::try_from(number).ok()?);
        }
        rest = &rest[skip + count..];
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// Returns a number in one of Go's forms: `42`, `-0x2a`, `0b1`, `1_000`, `1.5e3`.
pub(super) fn number(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let underscored = lower.contains('_');
    if underscored && (lower.ends_with('_') || lower.contains("__") || lower.starts_with('_')) {
        return None;
    }
    let plain = lower.replace('_', "");
    let (radix, body) = match plain.get(..2) {
        Some("0x") => (16, &plain[2..]),
        Some("0o") => (8, &plain[2..]),
        Some("0b") => (2, &plain[2..]),
        _ if plain.len() > 1 && plain.starts_with('0') && !plain.contains(['.', 'e']) => {
            (8, &plain[1..])
        }
        _ => (10, plain.as_str()),
    };
    if !body.is_empty() && body.chars().all(|c| c.is_digit(radix)) {
        let magnitude = i128::from_str_radix(body, radix).ok()?;
        return i64::try_from(if negative { -magnitude } else { magnitude }).ok().map(Value::Int);
    }
    // A decimal fraction, and nothing that Rust alone takes for a number ("inf").
    let decimal = radix == 10
        && body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && body.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | '+' | '-'));
    let value: f64 = if decimal { body.parse().ok()? } else { return None };
    if !value.is_finite() {
        return None;
    }
    // As Go has it, a whole number is one however it is written.
    #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^63")]
    if value.fract() == 0.0 && value.abs() < 9e18 && body.contains('e') {
        let whole = value as i64;
        return Some(Value::Int(if negative { -whole } else { whole }));
    }
    Some(Value::Float(if negative { -value } else { value }))
}
