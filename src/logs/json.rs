//! Lines of JSON made readable: folded to level and message with what else there is, or unfolded to
//! a line for each value. All text is made safe.

use serde_json::{Map, Value};

use crate::text::{Color, Span, Style, sanitize_line};

/// Longer lines stay as they are.
const LONGEST: usize = 64 << 10;

/// Longer values are cut in the folded line.
const VALUE: usize = 200;

/// No more lines than this are made of one.
const ROWS: usize = 2000;

/// Names of what is said, of how bad it is, and of when it was, the usual first.
const MESSAGE: [&str; 8] = ["msg", "message", "@m", "@message", "@mt", "event", "text", "log"];
const LEVEL: [&str; 8] =
    ["level", "lvl", "severity", "levelname", "log.level", "loglevel", "@l", "levelName"];
const TIME: [&str; 9] =
    ["time", "ts", "timestamp", "@timestamp", "@t", "date", "datetime", "asctime", "eventTime"];

/// A line of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The level in capital letters, or empty.
    pub level: String,
    /// Level, message, and the other values by name.
    pub line: Vec<Span>,
}

/// Returns a line of JSON folded; none if it is none.
pub fn fold(message: &[u8]) -> Option<Folded> {
    let map = parse(message)?;
    let find = |names: &[&'static str]| names.iter().copied().find(|name| map.contains_key(*name));
    let (said, level, time) = (find(&MESSAGE), find(&LEVEL), find(&TIME));
    let level_text = level.and_then(|name| map.get(name)).map(level_word).unwrap_or_default();
    let mut line = Vec::new();
    let mut push = |text: String, style: Style| {
        if !text.is_empty() {
            line.push(Span { text, style });
        }
    };
    if !level_text.is_empty() {
        push(format!("{level_text:<5} "), level_style(&level_text));
    }
    if let Some(text) = said.and_then(|name| map.get(name)) {
        push(short(text, usize::MAX), Style::default());
    }
    for (name, value) in &map {
        if [said, level, time].contains(&Some(name.as_str())) {
            continue;
        }
        let dim = Style { dim: true, ..Style::default() };
        push(format!(" {}=", sanitize_line(name)), dim);
        push(short(value, VALUE), Style::default());
    }
    (!line.is_empty()).then_some(Folded { level: level_text, line })
}

/// Returns a line of JSON unfolded, a row a value; none if it is none.
pub fn unfold(message: &[u8]) -> Option<Vec<Vec<Span>>> {
    let map = parse(message)?;
    let mut rows = Vec::new();
    values(&map, 0, &mut rows);
    Some(rows)
}

fn parse(message: &[u8]) -> Option<Map<String, Value>> {
    let text = message.trim_ascii();
    if !text.starts_with(b"{") || !text.ends_with(b"}") || text.len() > LONGEST {
        return None;
    }
    let map: Map<String, Value> = serde_json::from_slice(text).ok()?;
    (!map.is_empty()).then_some(map)
}

/// Returns a level's word; numbers are those of bunyan and pino.
fn level_word(value: &Value) -> String {
    let text = match value {
        Value::Number(number) => match number.as_u64() {
            Some(10) => "TRACE".to_owned(),
            Some(20) => "DEBUG".to_owned(),
            Some(30) => "INFO".to_owned(),
            Some(40) => "WARN".to_owned(),
            Some(50) => "ERROR".to_owned(),
            Some(60) => "FATAL".to_owned(),
            _ => number.to_string(),
        },
        Value::String(text) => text.to_uppercase(),
        _ => String::new(),
    };
    sanitize_line(&text).chars().take(9).collect()
}

fn level_style(level: &str) -> Style {
    let (color, bold) = match level {
        "ERROR" | "ERR" | "FATAL" | "CRITICAL" | "PANIC" | "ALERT" | "EMERG" => (1, true),
        "WARN" | "WARNING" => (3, false),
        "INFO" | "NOTICE" => (2, false),
        _ => (6, false),
    };
    Style { fg: Some(Color::Indexed(color)), bold, ..Style::default() }
}

fn short(value: &Value, most: usize) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = sanitize_line(&text);
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

fn values(map: &Map<String, Value>, depth: usize, rows: &mut Vec<Vec<Span>>) {
    for (name, value) in map {
        entry(&sanitize_line(name), value, depth, rows);
    }
}

fn entry(name: &str, value: &Value, depth: usize, rows: &mut Vec<Vec<Span>>) {
    if rows.len() >= ROWS {
        return;
    }
    let key = Style { fg: Some(Color::Indexed(6)), ..Style::default() };
    let row = |key_text: String, text: String| {
        let mut spans =
            vec![Span { text: format!("{}{key_text}", " ".repeat(depth * 2)), style: key }];
        if !text.is_empty() {
            spans.push(Span { text: format!(" {text}"), style: Style::default() });
        }
        spans
    };
    match value {
        Value::Object(map) if !map.is_empty() && depth < 32 => {
            rows.push(row(format!("{name}:"), String::new()));
            values(map, depth + 1, rows);
        }
        Value::Array(list) if !list.is_empty() && depth < 32 => {
            rows.push(row(format!("{name}:"), String::new()));
            for item in list {
                entry("-", item, depth + 1, rows);
            }
        }
        // A stack trace in a value is read as it was meant.
        Value::String(text) if text.contains('\n') => {
            rows.push(row(format!("{name}:"), String::new()));
            for line in text.lines().take(ROWS - rows.len().min(ROWS)) {
                let line = line.replace('\t', "    ");
                let indent = " ".repeat(depth * 2 + 2);
                let text = format!("{indent}{}", sanitize_line(&line));
                rows.push(vec![Span { text, style: Style::default() }]);
            }
        }
        other => {
            let colon = if name == "-" { "" } else { ":" };
            rows.push(row(format!("{name}{colon}"), short(other, usize::MAX)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(spans: &[Span]) -> String {
        spans.iter().map(|span| span.text.as_str()).collect()
    }

    #[test]
    fn level_and_message_come_first() {
        let folded = fold(br#"{"time":"2026","level":"warn","id":7,"msg":"slow query"}"#).unwrap();
        assert_eq!(text(&folded.line), "WARN  slow query id=7");
        assert_eq!(folded.level, "WARN");
        let pino = fold(br#"{"level":50,"time":1,"msg":"x","err":{"a":[1]}}"#).unwrap();
        assert_eq!(text(&pino.line), r#"ERROR x err={"a":[1]}"#);
        assert_eq!(text(&fold(br#"{"a":1}"#).unwrap().line), " a=1");
        for other in ["", "{}", "[1]", "{not json}", "plain", "{\"a\":1} x"] {
            assert_eq!(fold(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn unfolded_each_value_has_a_row_and_traces_have_several() {
        let rows = unfold(br#"{"a":{"b":[1,"x"]},"stack":"one\n\ttwo","e":[]}"#).unwrap();
        let rows: Vec<String> = rows.iter().map(|row| text(row)).collect();
        assert_eq!(
            rows,
            ["a:", "  b:", "    - 1", "    - x", "stack:", "  one", "      two", "e: []"]
        );
    }

    #[test]
    fn what_is_hidden_in_values_is_made_safe() {
        let hostile = "{\"msg\":\"\\u001b[2J\\u202ex\",\"\\u009b\":\"\\u0007\",\
                       \"level\":\"\\u001b]0;t\",\"s\":\"a\\n\\u001bb\"}";
        let folded = fold(hostile.as_bytes()).unwrap();
        let rows = unfold(hostile.as_bytes()).unwrap();
        let all = text(&folded.line) + &rows.iter().map(|row| text(row)).collect::<String>();
        assert!(!all.contains(|c: char| c.is_control() || c == '\u{202e}'), "{all:?}");
    }
}
