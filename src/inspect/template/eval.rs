//! Walks a template over its data.

use super::functions::{self, Parameter};
use super::parse::{Block, Command, Control, Node, Operand, OperandKind, Pipe};
use super::value::Value;
use super::{Options, Template, TemplateError};

/// How deep blocks, pipelines and templates that call templates may be nested.
const DEEPEST: usize = 150;
/// How much is done at most: a node costs 1, and a text 1 for each 64 bytes.
const MOST_WORK: usize = 1 << 22;
/// The longest text that a function makes, and the most that is printed, in bytes.
const LONGEST: usize = 16 << 20;

type Result<T> = std::result::Result<T, TemplateError>;

pub(super) fn execute(template: &Template, data: &Value, options: Options) -> Result<String> {
    let mut run = Run {
        template,
        options,
        variables: vec![("$".to_owned(), data.clone())],
        name: &template.name,
        out: String::new(),
        depth: 0,
        work: 0,
    };
    run.block(data, &template.root)?;
    Ok(run.out)
}

/// Whether a loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Run<'a> {
    template: &'a Template,
    options: Options,
    variables: Vec<(String, Value)>,
    /// The template that is executed.
    name: &'a str,
    out: String,
    depth: usize,
    work: usize,
}

/// A place in the template, for errors.
struct Place<'a> {
    at: usize,
    what: &'a dyn std::fmt::Display,
}

impl<'a> Place<'a> {
    fn of(pipe: &'a Pipe) -> Self {
        match pipe.last() {
            Some(word) => Self { at: word.at, what: word },
            None => Self { at: pipe.at, what: pipe },
        }
    }
}

impl<'a> Run<'a> {
    fn fail<T>(&self, place: &Place<'_>, message: impl std::fmt::Display) -> Result<T> {
        let (location, context) = self.template.context(place.at, &place.what);
        Err(TemplateError(format!(
            "template: {location}: executing {} at <{context}>: {message}",
            crate::text::quote(self.name)
        )))
    }

    /// Counts work that is about to be done.
    fn spend(&mut self, amount: usize) -> Result<()> {
        self.work = self.work.saturating_add(amount);
        if self.work > MOST_WORK {
            return Err(TemplateError(format!(
                "template: {}: it does too much: stopped after {MOST_WORK} steps",
                self.template.name
            )));
        }
        Ok(())
    }

    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.spend(1)?;
        if self.depth >= DEEPEST {
            return Err(TemplateError(format!(
                "template: {}: exceeded maximum template depth ({DEEPEST})",
                self.template.name
            )));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    fn print(&mut self, text: &str) -> Result<()> {
        self.spend(text.len() / 64)?;
        if self.out.len() + text.len() > LONGEST {
            return Err(TemplateError(format!(
                "template: {}: it prints more than {LONGEST} bytes",
                self.template.name
            )));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn block(&mut self, dot: &Value, block: &'a Block) -> Result<Flow> {
        self.deeper(|run| {
            for node in block {
                let flow = run.node(dot, node)?;
                if flow != Flow::On {
                    return Ok(flow);
                }
            }
            Ok(Flow::On)
        })
    }

    fn node(&mut self, dot: &Value, node: &'a Node) -> Result<Flow> {
        self.spend(1)?;
        match node {
            Node::Text(text) => self.print(text)?,
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.print_value(pipe, &value)?;
                }
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Template { at, name, pipe } => self.call(dot, *at, name, pipe.as_ref())?,
            Node::Control { kind, pipe, body, otherwise } => {
                let known = self.variables.len();
                let flow = match kind {
                    Control::Range => self.range(dot, pipe, body, otherwise),
                    _ => self.choose(dot, *kind, pipe, body, otherwise),
                };
                self.variables.truncate(known);
                return flow;
            }
        }
        Ok(Flow::On)
    }

    fn print_value(&mut self, pipe: &Pipe, value: &Value) -> Result<()> {
        match value {
            Value::Missing => self.print("<no value>"),
            Value::Function(_) => {
                let place = Place::of(pipe);
                self.fail(&place, format_args!("can't print {pipe} of type {}", value.type_name()))
            }
            Value::Text(text) => self.print(text),
            value => self.print(&value.plain()),
        }
    }

    fn choose(
        &mut self,
        dot: &Value,
        kind: Control,
        pipe: &'a Pipe,
        body: &'a Block,
        otherwise: &'a Block,
    ) -> Result<Flow> {
        let value = self.pipe(dot, pipe)?;
        match (value.is_true(), kind) {
            (true, Control::With) => self.block(&value, body),
            (true, _) => self.block(dot, body),
            (false, _) => self.block(dot, otherwise),
        }
    }

    fn range(
        &mut self,
        dot: &Value,
        pipe: &'a Pipe,
        body: &'a Block,
        otherwise: &'a Block,
    ) -> Result<Flow> {
        let over = self.pipe(dot, pipe)?;
        let place = Place::of(pipe);
        let mut any = false;
        // The variables of the pipeline are there already; each round sets them anew.
        let mut round = |run: &mut Self, index: Value, item: Value| {
            any = true;
            run.spend(1)?;
            let known = run.variables.len();
            match pipe.variables.as_slice() {
                [] => {}
                [only] => run.set(&place, only, item.clone(), pipe.assigns)?,
                [first, second, ..] => {
                    run.set(&place, first, index, pipe.assigns)?;
                    run.set(&place, second, item.clone(), pipe.assigns)?;
                }
            }
            let flow = run.block(&item, body)?;
            run.variables.truncate(known);
            Ok::<bool, TemplateError>(flow != Flow::Break)
        };
        match &over {
            Value::List(_) => {
                for (index, item) in (0..).zip(over.items()) {
                    if !round(self, Value::Int(index), item.clone())? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.iter().flat_map(|map| map.iter()) {
                    if !round(self, key.as_str().into(), value.clone())? {
                        break;
                    }
                }
            }
            Value::Int(_) if pipe.variables.len() > 1 => {
                let over = over.plain();
                let message = format!("can't use {over} to iterate over more than one variable");
                return self.fail(&place, message);
            }
            Value::Int(count) => {
                for number in 0..*count {
                    if !round(self, Value::Int(number), Value::Int(number))? {
                        break;
                    }
                }
            }
            Value::Missing => {}
            other => {
                let message = format!("range can't iterate over {}", other.plain());
                return self.fail(&place, message);
            }
        }
        if any { Ok(Flow::On) } else { self.block(dot, otherwise) }
    }

    fn call(
        &mut self,
        dot: &Value,
        at: usize,
        name: &'a str,
        pipe: Option<&'a Pipe>,
    ) -> Result<()> {
        let Some(block) = self.template.named.get(name) else {
            let quoted = crate::text::quote(name);
            let what = match pipe {
                Some(pipe) => format!("{{{{template {quoted} {pipe}}}}}"),
                None => format!("{{{{template {quoted}}}}}"),
            };
            let place = Place { at, what: &what };
            return self.fail(&place, format_args!("template {quoted} not defined"));
        };
        let value = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Missing,
        };
        let variables =
            std::mem::replace(&mut self.variables, vec![("$".to_owned(), value.clone())]);
        let caller = std::mem::replace(&mut self.name, name);
        self.block(&value, block)?;
        self.variables = variables;
        self.name = caller;
        Ok(())
    }

    fn set(&mut self, place: &Place<'_>, name: &str, value: Value, assigns: bool) -> Result<()> {
        if !assigns {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => return self.fail(place, format_args!("undefined variable: {name}")),
        }
        Ok(())
    }

    fn pipe(&mut self, dot: &Value, pipe: &'a Pipe) -> Result<Value> {
        self.deeper(|run| {
            let mut value = None;
            for command in &pipe.commands {
                value = Some(run.command(dot, command, value)?);
            }
            let value = value.unwrap_or(Value::Missing);
            let place = Place::of(pipe);
            // What `range` declares it sets itself, in each round.
            for name in &pipe.variables {
                run.set(&place, name, value.clone(), pipe.assigns)?;
            }
            Ok(value)
        })
    }

    fn command(&mut self, dot: &Value, command: &'a Command, last: Option<Value>) -> Result<Value> {
        let Some(first) = command.words.first() else { return Ok(Value::Missing) };
        let arguments = &command.words[1..];
        let place = Place { at: first.at, what: first };
        let whole = Place { at: command.at, what: command };
        match &first.kind {
            OperandKind::Field(names) => {
                self.fields(dot, dot.clone(), names, &place, arguments, last)
            }
            OperandKind::Variable(names) => {
                let value = self.variable(&place, names)?;
                if names.len() == 1 {
                    self.no_arguments(&place, arguments, last.as_ref())?;
                    return Ok(value);
                }
                self.fields(dot, value, &names[1..], &place, arguments, last)
            }
            OperandKind::Chain(operand, names) => {
                let value = self.operand(dot, operand)?;
                let inner = operand.last();
                let place = Place { at: inner.at, what: inner };
                self.fields(dot, value, names, &place, arguments, last)
            }
            OperandKind::Function(name) => {
                self.function(dot, name, &place, &whole, arguments, last)
            }
            OperandKind::Nil => self.fail(&place, "nil is not a command"),
            OperandKind::Dot | OperandKind::Constant(..) => {
                self.no_arguments(&place, arguments, last.as_ref())?;
                self.operand(dot, first)
            }
            OperandKind::Pipe(pipe) => {
                if !arguments.is_empty() || last.is_some() {
                    return self
                        .fail(&whole, format_args!("can't give argument to non-function {pipe}"));
                }
                self.pipe(dot, pipe)
            }
        }
    }

    fn no_arguments(
        &self,
        place: &Place<'_>,
        arguments: &[Operand],
        last: Option<&Value>,
    ) -> Result<()> {
        if arguments.is_empty() && last.is_none() {
            return Ok(());
        }
        self.fail(place, format_args!("can't give argument to non-function {}", place.what))
    }

    fn variable(&self, place: &Place<'_>, names: &[String]) -> Result<Value> {
        let name = names.first().map_or("", String::as_str);
        match self.variables.iter().rev().find(|(known, _)| known == name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(place, format_args!("undefined variable: {name}")),
        }
    }

    /// Returns what a word means by itself.
    fn operand(&mut self, dot: &Value, operand: &'a Operand) -> Result<Value> {
        let place = Place { at: operand.at, what: operand };
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Missing),
            OperandKind::Constant(value, _) => Ok(value.clone()),
            OperandKind::Field(names) => self.fields(dot, dot.clone(), names, &place, &[], None),
            OperandKind::Variable(names) => {
                let value = self.variable(&place, names)?;
                self.fields(dot, value, &names[1..], &place, &[], None)
            }
            OperandKind::Chain(operand, names) => {
                let value = self.operand(dot, operand)?;
                let last = operand.last();
                let place = Place { at: last.at, what: last };
                self.fields(dot, value, names, &place, &[], None)
            }
            OperandKind::Function(name) => self.function(dot, name, &place, &place, &[], None),
            OperandKind::Pipe(pipe) => self.pipe(dot, pipe),
        }
    }

    /// Goes down field by field; the last one gets the arguments.
    fn fields(
        &mut self,
        dot: &Value,
        mut value: Value,
        names: &[String],
        place: &Place<'_>,
        arguments: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Value> {
        let Some((end, between)) = names.split_last() else { return Ok(value) };
        for name in between {
            value = self.field(dot, &value, name, place, &[], None)?;
        }
        self.field(dot, &value, end, place, arguments, last)
    }

    fn field(
        &mut self,
        dot: &Value,
        value: &Value,
        name: &str,
        place: &Place<'_>,
        arguments: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Value> {
        self.spend(1)?;
        let given = !arguments.is_empty() || last.is_some();
        match value {
            Value::Missing if self.options.missing_is_error => {
                self.fail(place, format_args!("nil data; no entry for key {name:?}"))
            }
            Value::Missing => Ok(Value::Missing),
            Value::Nil => self.fail(place, format_args!("nil pointer evaluating {name}")),
            Value::Record(record) => {
                let fields = record.fields.iter().chain(&record.hidden);
                match fields.into_iter().find(|(known, _)| known == name) {
                    Some((_, Value::Function(function))) => {
                        let mut values = self.arguments(dot, arguments)?;
                        values.extend(last);
                        if values.len() != function.arguments {
                            let message = format!(
                                "wrong number of args for {name}: want {} got {}",
                                function.arguments,
                                values.len()
                            );
                            return self.fail(place, message);
                        }
                        let result = (function.call)(&values);
                        result.or_else(|cause| {
                            self.fail(place, format_args!("error calling {name}: {cause}"))
                        })
                    }
                    Some(_) if given => self.fail(
                        place,
                        format_args!("{name} has arguments but cannot be invoked as function"),
                    ),
                    Some((_, value)) => Ok(value.clone()),
                    None => self.no_field(place, name, value),
                }
            }
            Value::Map(_) if given => {
                self.fail(place, format_args!("{name} is not a method but has arguments"))
            }
            Value::Map(map) => match map.as_ref().and_then(|map| map.get(name)) {
                Some(value) => Ok(value.clone()),
                None if self.options.missing_is_error => {
                    self.fail(place, format_args!("map has no entry for key {name:?}"))
                }
                None => Ok(Value::Missing),
            },
            other => self.no_field(place, name, other),
        }
    }

    fn no_field<T>(&self, place: &Place<'_>, name: &str, value: &Value) -> Result<T> {
        // In a document of which nothing is known, everything has the same type.
        let of = match value {
            Value::Record(_) | Value::Int(_) | Value::Float(_) => value.type_name(),
            _ if self.options.missing_is_error => "interface {}".to_owned(),
            _ => value.type_name(),
        };
        self.fail(place, format_args!("can't evaluate field {name} in type {of}"))
    }

    fn arguments(&mut self, dot: &Value, arguments: &'a [Operand]) -> Result<Vec<Value>> {
        arguments.iter().map(|argument| self.operand(dot, argument)).collect()
    }

    fn function(
        &mut self,
        dot: &Value,
        name: &str,
        place: &Place<'_>,
        whole: &Place<'_>,
        arguments: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Value> {
        let Some(function) = functions::find(name) else {
            return self.fail(place, format_args!("function {name:?} not defined"));
        };
        let count = arguments.len() + usize::from(last.is_some());
        let (least, most) = function.counts();
        if count < least || most.is_some_and(|most| count > most) {
            let exact = if most.is_some() { "" } else { "at least " };
            return self.fail(
                place,
                format_args!("wrong number of args for {name}: want {exact}{least} got {count}"),
            );
        }
        if let "and" | "or" = name {
            return self.logic(dot, name == "or", arguments, last);
        }
        let mut values = Vec::with_capacity(count);
        for (index, argument) in arguments.iter().enumerate() {
            let value = self.operand(dot, argument)?;
            self.check(function.parameter(index), argument, &value)?;
            values.push(value);
        }
        if let Some(last) = last {
            if let Err(message) = function.parameter(arguments.len()).accepts(&last) {
                return self.fail(whole, message);
            }
            values.push(last);
        }
        let size = |value: &Value| value.as_text().map_or(value.items().len(), str::len);
        self.spend(values.iter().map(|value| size(value) / 64).sum())?;
        let result = match name {
            "call" if matches!(values.first(), Some(Value::Missing)) => {
                Err("call of nil".to_owned())
            }
            "call" => Err(format!(
                "non-function {} of type {}",
                arguments.first().map(ToString::to_string).unwrap_or_default(),
                values.first().map(Value::type_name).unwrap_or_default()
            )),
            _ => function.call(&values, self.options.titles, LONGEST),
        };
        match result {
            Ok(value) => {
                self.spend(size(&value) / 64)?;
                Ok(value)
            }
            Err(cause) => self.fail(whole, format_args!("error calling {name}: {cause}")),
        }
    }

    /// Refuses an argument of the wrong kind.
    fn check(&self, parameter: Parameter, argument: &Operand, value: &Value) -> Result<()> {
        let Err(message) = parameter.accepts(value) else { return Ok(()) };
        let place = Place { at: argument.at, what: argument };
        match (&argument.kind, parameter) {
            (OperandKind::Constant(..), Parameter::Text) => {
                self.fail(&place, format_args!("expected string; found {argument}"))
            }
            (OperandKind::Constant(..), Parameter::Int) => {
                self.fail(&place, format_args!("expected integer; found {argument}"))
            }
            (OperandKind::Constant(..), Parameter::Texts) => {
                self.fail(&place, format_args!("can't handle {argument} for arg of type []string"))
            }
            _ => self.fail(&place, message),
        }
    }

    /// `and` and `or`: what comes after the decision isn't evaluated.
    fn logic(
        &mut self,
        dot: &Value,
        or: bool,
        arguments: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Value> {
        let mut value = Value::Missing;
        for argument in arguments {
            value = self.operand(dot, argument)?;
            if value.is_true() == or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }
}
