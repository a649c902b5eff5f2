//! What templates work on.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use crate::text::quote;

/// What a method does with its arguments.
type Method = dyn Fn(&[Value]) -> Result<Value, String>;

/// A method of a record: how many arguments it takes, and what it does.
#[derive(Clone)]
pub struct Function {
    pub(super) arguments: usize,
    pub(super) call: Rc<Method>,
}

impl Function {
    /// Returns a method that takes so many arguments.
    pub fn new(
        arguments: usize,
        call: impl Fn(&[Value]) -> Result<Value, String> + 'static,
    ) -> Self {
        Self { arguments, call: Rc::new(call) }
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Function").field("arguments", &self.arguments).finish_non_exhaustive()
    }
}

/// A thing with fields that are known beforehand: naming another one is an error.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// What errors call its type.
    pub type_name: &'static str,
    /// Its fields, in the order in which they are written as JSON.
    pub fields: Vec<(String, Value)>,
    /// Fields that templates can name, but that are not written as JSON.
    pub hidden: Vec<(String, Value)>,
    /// Whether `<`, `>` and `&` in its JSON are escaped, as docker has it for the rows of its lists.
    pub escapes_html: bool,
}

/// A value, in the distinctions that Go's templates make.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing at all, printed as `<no value>`: a key that a map lacks.
    Missing,
    /// A pointer to nothing, printed as `<nil>`.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// A text.
    Text(Rc<str>),
    /// A list; none is `null` in JSON, and otherwise as good as empty.
    List(Option<Rc<Vec<Value>>>),
    /// A map; none is `null` in JSON, and otherwise as good as empty.
    Map(Option<Rc<BTreeMap<String, Value>>>),
    /// A thing with fields.
    Record(Rc<Record>),
    /// A method.
    Function(Function),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(Some(Rc::new(items)))
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(map: BTreeMap<String, Value>) -> Self {
        Self::Map(Some(Rc::new(map)))
    }
}

impl From<Record> for Value {
    fn from(record: Record) -> Self {
        Self::Record(Rc::new(record))
    }
}

/// A document of which nothing is known but its text: objects are maps, and numbers are their digits
/// (Go's `json.Number`).
impl From<&serde_json::Value> for Value {
    fn from(document: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match document {
            Json::Null => Self::Missing,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => number.to_string().into(),
            Json::String(text) => text.as_str().into(),
            Json::Array(items) => items.iter().map(Self::from).collect::<Vec<_>>().into(),
            Json::Object(map) => map
                .iter()
                .map(|(k, v)| (k.clone(), Self::from(v)))
                .collect::<BTreeMap<_, _>>()
                .into(),
        }
    }
}

impl Value {
    /// Returns a number of a document.
    pub fn number(number: &serde_json::Number) -> Self {
        match (number.as_i64(), number.as_u64()) {
            (Some(n), _) => Self::Int(n),
            (None, Some(_)) => Self::Int(i64::MAX),
            (None, None) => Self::Float(number.as_f64().unwrap_or_default()),
        }
    }

    /// Returns the text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> &[Value] {
        match self {
            Self::List(Some(items)) => items,
            _ => &[],
        }
    }

    /// Returns what `if` takes it for.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => items.as_ref().is_some_and(|items| !items.is_empty()),
            Self::Map(map) => map.as_ref().is_some_and(|map| !map.is_empty()),
            Self::Record(_) | Self::Function(_) => true,
        }
    }

    /// Returns Go's name of its type.
    pub(super) fn type_name(&self) -> String {
        let all_texts = |mut items: Box<dyn Iterator<Item = &Value> + '_>| {
            items.all(|item| matches!(item, Self::Text(_)))
        };
        match self {
            Self::Missing | Self::Nil => "<nil>".to_owned(),
            Self::Bool(_) => "bool".to_owned(),
            Self::Int(_) => "int".to_owned(),
            Self::Float(_) => "float64".to_owned(),
            Self::Text(_) => "string".to_owned(),
            Self::List(None) => "[]string".to_owned(),
            Self::List(Some(items)) => match all_texts(Box::new(items.iter())) {
                true => "[]string".to_owned(),
                false => "[]interface {}".to_owned(),
            },
            Self::Map(None) => "map[string]string".to_owned(),
            Self::Map(Some(map)) => match all_texts(Box::new(map.values())) {
                true => "map[string]string".to_owned(),
                false => "map[string]interface {}".to_owned(),
            },
            Self::Record(record) => record.type_name.to_owned(),
            Self::Function(_) => "func()".to_owned(),
        }
    }

    /// Returns it as Go's `%v` prints it.
    pub(super) fn plain(&self) -> String {
        let mut out = String::new();
        self.write_plain(&mut out);
        out
    }

    fn write_plain(&self, out: &mut String) {
        match self {
            Self::Missing | Self::Nil | Self::Function(_) => out.push_str("<nil>"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(number) => out.push_str(&number.to_string()),
            Self::Float(number) => out.push_str(&super::printf::general(*number, None)),
            Self::Text(text) => out.push_str(text),
            Self::List(_) => {
                out.push('[');
                for (index, item) in self.items().iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    item.write_plain(out);
                }
                out.push(']');
            }
            Self::Map(map) => {
                out.push_str("map[");
                for (index, (key, value)) in map.iter().flat_map(|map| map.iter()).enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    out.push_str(key);
                    out.push(':');
                    value.write_plain(out);
                }
                out.push(']');
            }
            Self::Record(record) => {
                out.push('{');
                for (index, (_, value)) in record.fields.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    value.write_plain(out);
                }
                out.push('}');
            }
        }
    }

    /// Returns it as JSON in one line, as docker's `json` function does.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, false);
        out
    }

    fn write_json(&self, out: &mut String, escape: bool) {
        let members =
            |out: &mut String, members: &mut dyn Iterator<Item = (&String, &Value)>, escape| {
                out.push('{');
                for (index, (key, value)) in members.enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_json_text(out, key, escape);
                    out.push(':');
                    value.write_json(out, escape);
                }
                out.push('}');
            };
        match self {
            Self::Missing | Self::Nil | Self::List(None) | Self::Map(None) => out.push_str("null"),
            Self::Function(_) => out.push_str("{}"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(number) => out.push_str(&number.to_string()),
            Self::Float(number) => out.push_str(&super::printf::general(*number, None)),
            Self::Text(text) => write_json_text(out, text, escape),
            Self::List(Some(items)) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out, escape);
                }
                out.push(']');
            }
            Self::Map(Some(map)) => members(out, &mut map.iter(), escape),
            Self::Record(record) => {
                let escape = escape || record.escapes_html;
                members(out, &mut record.fields.iter().map(|(k, v)| (k, v)), escape);
            }
        }
    }

    /// Returns which comes first, for two of the same basic kind.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Self::Float(b)) => Some(a.partial_cmp(b).unwrap_or(Ordering::Less)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

fn write_json_text(out: &mut String, text: &str, escape: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '<' | '>' | '&' if !escape => out.push(c),
            '<' | '>' | '&' | '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string can't fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Returns it as Go's `%#v` writes it.
pub(super) fn source(value: &Value) -> String {
    let list = |open: String, items: Vec<String>| format!("{open}{{{}}}", items.join(", "));
    match value {
        Value::Text(text) => quote(text),
        Value::List(Some(items)) => list(value.type_name(), items.iter().map(source).collect()),
        Value::List(None) | Value::Map(None) => format!("{}(nil)", value.type_name()),
        Value::Map(Some(map)) => list(
            value.type_name(),
            map.iter().map(|(k, v)| format!("{}:{}", quote(k), source(v))).collect(),
        ),
        Value::Record(record) => list(
            record.type_name.to_owned(),
            record.fields.iter().map(|(k, v)| format!("{k}:{}", source(v))).collect(),
        ),
        other => other.plain(),
    }
}
