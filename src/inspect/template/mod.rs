//! Templates in the language of Go's `text/template`, as `--format` takes them.
//!
//! [`Template::parse`] makes a tree of the text (`lex`, `parse`), [`Template::execute`] walks it over
//! a [`Value`] (`eval`, with the functions of `functions` and the verbs of `printf`). What a template
//! prints and how it complains are Go's and docker's, word for word where scripts may depend on it.
//!
//! A template comes from the user, but also out of scripts and configuration files. It can't do
//! harm: nesting, work and the size of texts are bounded, and reaching a bound is an error like any
//! other.

mod eval;
mod functions;
mod lex;
mod parse;
mod printf;
mod value;

use std::collections::BTreeMap;

pub use value::{Function, Record, Value};

use parse::{Block, Node};

/// A template that can't be parsed or executed, in Go's words: `template: :1: unclosed action`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// How a template is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether a key that a map lacks is an error. Otherwise it is `<no value>`.
    pub missing_is_error: bool,
    /// Whether the functions that change texts leave them as they are, for the titles of a table.
    pub titles: bool,
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    text: String,
    root: Block,
    /// What `define` and `block` named.
    named: BTreeMap<String, Block>,
}

impl Template {
    /// Returns the template that a text means. Errors call it `name`, which may be empty.
    ///
    /// # Errors
    /// When the text is no template.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let (root, named) = parse::parse(name, text)?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), root, named })
    }

    /// Returns what the template prints for `data`.
    ///
    /// # Errors
    /// When a field isn't there, a function fails, or a bound is reached.
    pub fn execute(&self, data: &Value, options: Options) -> Result<String, TemplateError> {
        eval::execute(self, data, options)
    }

    /// Returns whether the template mentions a field of this name anywhere, so that what is costly
    /// to find out is only found out when it is wanted. The data as a whole (`.`) mentions none.
    pub fn mentions(&self, field: &str) -> bool {
        let mut blocks = self.named.values().chain([&self.root]);
        blocks.any(|block| block.iter().any(|node| node.mentions(field)))
    }

    /// Returns where an error at this byte is, and about what.
    fn context(&self, at: usize, node: &impl std::fmt::Display) -> (String, String) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rfind('\n').map_or(at, |newline| at - newline - 1);
        (format!("{}:{line}:{column}", self.name), node.to_string())
    }
}

impl Node {
    fn mentions(&self, field: &str) -> bool {
        let any = |block: &Block| block.iter().any(|node| node.mentions(field));
        match self {
            Node::Text(_) | Node::Break | Node::Continue => false,
            Node::Action(pipe) => pipe.mentions(field),
            Node::Template { pipe, .. } => pipe.as_ref().is_some_and(|pipe| pipe.mentions(field)),
            Node::Control { pipe, body, otherwise, .. } => {
                pipe.mentions(field) || any(body) || any(otherwise)
            }
        }
    }
}

#[cfg(test)]
mod tests;
