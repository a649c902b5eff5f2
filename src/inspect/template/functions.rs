//! The functions of templates: Go's, and docker's.

use super::printf::printf;
use super::value::Value;

/// What a function takes in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    Any,
    Text,
    Int,
    Texts,
}

impl Parameter {
    /// Says why a value can't be given.
    pub(super) fn accepts(self, value: &Value) -> Result<(), String> {
        let (fits, wanted) = match self {
            Self::Any => return Ok(()),
            Self::Text => (matches!(value, Value::Text(_)), "string"),
            Self::Int => (matches!(value, Value::Int(_)), "int"),
            Self::Texts => {
                let texts = value.items().iter().all(|item| matches!(item, Value::Text(_)));
                (matches!(value, Value::List(_)) && texts, "[]string")
            }
        };
        match value {
            _ if fits => Ok(()),
            Value::Missing | Value::Nil => Err(format!("invalid value; expected {wanted}")),
            value => {
                let given = value.type_name();
                Err(format!("wrong type for value; expected {wanted}; got {given}"))
            }
        }
    }
}

/// A function that templates can call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    name: &'static str,
    parameters: &'static [Parameter],
    /// Whether any number of further arguments may follow.
    variadic: bool,
}

const fn fixed(name: &'static str, parameters: &'static [Parameter]) -> Entry {
    Entry { name, parameters, variadic: false }
}

const fn variadic(name: &'static str, parameters: &'static [Parameter]) -> Entry {
    Entry { name, parameters, variadic: true }
}

use Parameter::{Any, Int, Text, Texts};

static FUNCTIONS: [Entry; 27] = [
    fixed("json", &[Any]),
    fixed("split", &[Text, Text]),
    fixed("join", &[Texts, Text]),
    fixed("title", &[Text]),
    fixed("lower", &[Text]),
    fixed("upper", &[Text]),
    fixed("pad", &[Text, Int, Int]),
    fixed("truncate", &[Text, Int]),
    variadic("and", &[Any]),
    variadic("or", &[Any]),
    fixed("not", &[Any]),
    variadic("call", &[Any]),
    fixed("len", &[Any]),
    variadic("index", &[Any]),
    variadic("slice", &[Any]),
    variadic("print", &[]),
    variadic("printf", &[Text]),
    variadic("println", &[]),
    variadic("html", &[]),
    variadic("js", &[]),
    variadic("urlquery", &[]),
    variadic("eq", &[Any]),
    fixed("ne", &[Any, Any]),
    fixed("lt", &[Any, Any]),
    fixed("le", &[Any, Any]),
    fixed("gt", &[Any, Any]),
    fixed("ge", &[Any, Any]),
];

/// Returns the function of this name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// Returns whether there is a function of this name.
pub(super) fn exists(name: &str) -> bool {
    find(name).is_some()
}

impl Entry {
    /// Returns how many arguments it takes: the least, and the most if there is one.
    pub(super) fn counts(&self) -> (usize, Option<usize>) {
        (self.parameters.len(), (!self.variadic).then_some(self.parameters.len()))
    }

    /// Returns what it takes in one place.
    pub(super) fn parameter(&self, index: usize) -> Parameter {
        self.parameters.get(index).copied().unwrap_or(Parameter::Any)
    }

    /// Calls it. With `titles` docker's functions return their first argument. No text is made
    /// longer than `longest`.
    pub(super) fn call(
        &self,
        arguments: &[Value],
        titles: bool,
        longest: usize,
    ) -> Result<Value, String> {
        let first = arguments.first().cloned().unwrap_or(Value::Missing);
        let text = |index: usize| arguments.get(index).and_then(Value::as_text).unwrap_or_default();
        let number = |index: usize| match arguments.get(index) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        };
        let order = |index: usize| compare(&first, arguments.get(index).unwrap_or(&Value::Missing));
        let result: Value = match self.name {
            "json" | "split" | "join" | "title" | "lower" | "upper" | "truncate" if titles => first,
            "json" => first.json().into(),
            "split" => split(text(0), text(1)),
            "join" => {
                let items: Vec<&str> = first.items().iter().filter_map(Value::as_text).collect();
                let length: usize = items.iter().map(|item| item.len()).sum();
                if length + items.len().saturating_mul(text(1).len()) > longest {
                    return Err(too_long(longest));
                }
                items.join(text(1)).into()
            }
            "title" => title(text(0)).into(),
            "lower" => text(0).to_lowercase().into(),
            "upper" => text(0).to_uppercase().into(),
            "pad" => pad(text(0), number(1), number(2), longest)?.into(),
            "truncate" => truncate(text(0), number(1))?.into(),
            "not" => (!first.is_true()).into(),
            "len" => length(&first)?.into(),
            "index" => index(&first, arguments.get(1..).unwrap_or_default())?,
            "slice" => slice(&first, arguments.get(1..).unwrap_or_default())?,
            "print" => print(arguments).into(),
            "println" => println(arguments).into(),
            "printf" => printf(text(0), arguments.get(1..).unwrap_or_default()).into(),
            "html" => html(&joined(arguments)).into(),
            "js" => js(&joined(arguments)).into(),
            "urlquery" => urlquery(&joined(arguments)).into(),
            "eq" => equal(&first, arguments.get(1..).unwrap_or_default())?.into(),
            "ne" => (!equal(&first, arguments.get(1..).unwrap_or_default())?).into(),
            "lt" => order(1)?.is_lt().into(),
            "le" => order(1)?.is_le().into(),
            "gt" => order(1)?.is_gt().into(),
            "ge" => order(1)?.is_ge().into(),
            other => return Err(format!("function {other:?} not defined")),
        };
        match result.as_text() {
            Some(text) if text.len() > longest => Err(too_long(longest)),
            _ => Ok(result),
        }
    }
}

fn too_long(longest: usize) -> String {
    format!("the text is longer than {longest} bytes")
}

fn split(text: &str, separator: &str) -> Value {
    if separator.is_empty() {
        return text.chars().map(|c| Value::from(c.to_string())).collect::<Vec<_>>().into();
    }
    text.split(separator).map(Value::from).collect::<Vec<_>>().into()
}

/// Returns the text with the first letter of each word in upper case.
fn title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let word = c.is_alphanumeric() || c == '_';
        if word && !inside {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        inside = if c.is_ascii() { word } else { !c.is_whitespace() };
    }
    out
}

fn pad(text: &str, before: i64, after: i64, longest: usize) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let spaces = |count: i64| {
        let count = usize::try_from(count).map_err(|_| "strings: negative Repeat count")?;
        if count > longest { Err(too_long(longest)) } else { Ok(" ".repeat(count)) }
    };
    Ok(format!("{}{text}{}", spaces(before)?, spaces(after)?))
}

/// Returns the first bytes; a character that would be cut becomes U+FFFD.
fn truncate(text: &str, length: i64) -> Result<String, String> {
    let length = usize::try_from(length)
        .map_err(|_| format!("runtime error: slice bounds out of range [:{length}]"))?;
    match text.as_bytes().get(..length) {
        Some(start) => Ok(String::from_utf8_lossy(start).into_owned()),
        None => Ok(text.to_owned()),
    }
}

fn length(value: &Value) -> Result<i64, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(_) => value.items().len(),
        Value::Map(map) => map.as_ref().map_or(0, |map| map.len()),
        Value::Missing | Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

/// Returns a position in something of this length; the end too if `end`.
fn position(index: &Value, length: usize, end: bool) -> Result<usize, String> {
    let number = match index {
        Value::Int(number) => *number,
        Value::Missing | Value::Nil => {
            return Err("cannot index slice/array with nil".to_owned());
        }
        other => {
            return Err(format!("cannot index slice/array with type {}", other.type_name()));
        }
    };
    usize::try_from(number)
        .ok()
        .filter(|number| *number < length || end && *number == length)
        .ok_or_else(|| format!("index out of range: {number}"))
}

fn index(value: &Value, indexes: &[Value]) -> Result<Value, String> {
    let mut value = value.clone();
    if matches!(value, Value::Missing) {
        return Err("index of untyped nil".to_owned());
    }
    for index in indexes {
        value = match &value {
            Value::List(_) => {
                let items = value.items();
                items[position(index, items.len(), false)?].clone()
            }
            Value::Text(text) => {
                let byte = text.as_bytes()[position(index, text.len(), false)?];
                Value::Int(i64::from(byte))
            }
            Value::Map(map) => match index {
                Value::Text(key) => {
                    let found = map.as_ref().and_then(|map| map.get(&**key)).cloned();
                    // A map of texts answers with an empty one.
                    let texts = value.type_name() == "map[string]string";
                    found.unwrap_or(if texts { "".into() } else { Value::Missing })
                }
                Value::Missing | Value::Nil => {
                    return Err("value is nil; should be of type string".to_owned());
                }
                other => {
                    return Err(format!("value has type {}; should be string", other.type_name()));
                }
            },
            Value::Missing | Value::Nil => return Err("index of nil pointer".to_owned()),
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn slice(value: &Value, indexes: &[Value]) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(_) => value.items().len(),
        Value::Missing | Value::Nil => return Err("slice of untyped nil".to_owned()),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    if indexes.len() == 3 && matches!(value, Value::Text(_)) {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let at = |index: usize, otherwise: usize| match indexes.get(index) {
        Some(index) => position(index, length, true),
        None => Ok(otherwise),
    };
    let (start, end) = (at(0, 0)?, at(1, length)?);
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    Ok(match value {
        Value::Text(text) => {
            String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned().into()
        }
        _ => value.items()[start..end].to_vec().into(),
    })
}

/// Returns the arguments in a row, with a space between two of which neither is a text.
fn print(arguments: &[Value]) -> String {
    let mut out = String::new();
    let text = |value: &Value| matches!(value, Value::Text(_));
    for (index, value) in arguments.iter().enumerate() {
        if index > 0 && !text(value) && !text(&arguments[index - 1]) {
            out.push(' ');
        }
        out.push_str(&value.plain());
    }
    out
}

fn println(arguments: &[Value]) -> String {
    let words: Vec<String> = arguments.iter().map(Value::plain).collect();
    format!("{}\n", words.join(" "))
}

/// Returns what `html` and its like work on.
fn joined(arguments: &[Value]) -> String {
    match arguments {
        [Value::Missing] => "<no value>".to_owned(),
        arguments => print(arguments),
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c if c.is_ascii() || crate::text::is_printable(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        }
    }
    out
}

fn urlquery(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

const INCOMPARABLE: &str = "incompatible types for comparison";

/// Returns whether the first is one of the others.
fn equal(first: &Value, others: &[Value]) -> Result<bool, String> {
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if same(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn same(a: &Value, b: &Value) -> Result<bool, String> {
    let nil = |value: &Value| {
        matches!(value, Value::Missing | Value::Nil | Value::List(None) | Value::Map(None))
    };
    let compound = |value: &Value| matches!(value, Value::List(_) | Value::Map(_));
    match (a, b) {
        _ if nil(a) || nil(b) => Ok(nil(a) && nil(b)),
        (Value::Record(a), Value::Record(b)) => Ok(a.fields.len() == b.fields.len()
            && Value::Record(a.clone()).json() == Value::Record(b.clone()).json()),
        _ if compound(a) || compound(b) => {
            let value = if compound(a) { a } else { b };
            let (plain, of) = (value.plain(), value.type_name());
            Err(format!("non-comparable type {plain}: {of}"))
        }
        _ => a.order(b).map(std::cmp::Ordering::is_eq).ok_or_else(|| INCOMPARABLE.to_owned()),
    }
}

fn compare(a: &Value, b: &Value) -> Result<std::cmp::Ordering, String> {
    let basic = |value: &Value| matches!(value, Value::Int(_) | Value::Float(_) | Value::Text(_));
    if !basic(a) || !basic(b) {
        return Err("invalid type for comparison".to_owned());
    }
    a.order(b).ok_or_else(|| INCOMPARABLE.to_owned())
}
