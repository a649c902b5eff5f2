//! A JSON document as rows that fold, for a screen.
//!
//! The rows are made when the document or what is folded changes, never per frame. Texts in them
//! are safe to show: control and hidden characters are written as escapes.

use std::collections::HashSet;

use serde_json::Value;

/// What a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// An object with so many members.
    Object(usize),
    /// A list with so many elements.
    Array(usize),
    /// A text.
    String,
    /// A number.
    Number,
    /// True or false.
    Bool,
    /// Nothing.
    Null,
}

impl RowKind {
    /// Returns whether the row can be unfolded.
    pub fn folds(self) -> bool {
        matches!(self, Self::Object(1..) | Self::Array(1..))
    }
}

/// One visible row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// How deep it lies; the document's own members are at 0.
    pub depth: usize,
    /// The member's name, or `[3]` in a list.
    pub key: String,
    /// The value in one line: `"text"`, `{3}`, `[2]`, `{}`.
    pub preview: String,
    /// What it holds.
    pub kind: RowKind,
    /// Whether its members are shown.
    pub open: bool,
    /// Where it is: `State.Health.Log[0]`, or `Labels["a.b"]` for an unusual name.
    pub path: String,
}

/// A document and what of it is unfolded.
#[derive(Clone, Debug)]
pub struct Tree {
    document: Value,
    open: HashSet<String>,
    rows: Vec<Row>,
}

impl Tree {
    /// Returns the tree of a document, its first level of members unfolded to `depth` levels (0
    /// shows the members only).
    pub fn new(document: Value, depth: usize) -> Self {
        let mut tree = Self { document, open: HashSet::new(), rows: Vec::new() };
        tree.open_to(depth);
        tree
    }

    /// Puts a newer document in place; what is unfolded stays so.
    pub fn update(&mut self, document: Value) {
        if self.document != document {
            self.document = document;
            self.rebuild();
        }
    }

    /// Returns the document.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Returns the visible rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Folds or unfolds a row.
    pub fn toggle(&mut self, row: usize) {
        match self.rows.get(row) {
            Some(row) if row.open => {
                let path = row.path.clone();
                self.open.remove(&path);
            }
            Some(row) if row.kind.folds() => {
                let path = row.path.clone();
                self.open.insert(path);
            }
            _ => return,
        }
        self.rebuild();
    }

    /// Unfolds a row; an open one's first member is returned, else the row itself.
    pub fn unfold(&mut self, row: usize) -> usize {
        match self.rows.get(row) {
            Some(found) if found.open => row + 1,
            Some(found) if found.kind.folds() => {
                self.toggle(row);
                row
            }
            _ => row,
        }
    }

    /// Folds a row; for one that can't be folded (any more) goes to its parent. Returns the row to
    /// be on.
    pub fn fold(&mut self, row: usize) -> usize {
        match self.rows.get(row) {
            Some(found) if found.open => {
                self.toggle(row);
                row
            }
            Some(found) => {
                let depth = found.depth;
                self.rows[..row].iter().rposition(|r| r.depth < depth).unwrap_or(row)
            }
            None => row,
        }
    }

    /// Unfolds everything to this many levels, and folds what is deeper.
    pub fn open_to(&mut self, depth: usize) {
        self.open.clear();
        let mut open = HashSet::new();
        walk(&self.document, &mut |item| {
            if item.depth < depth {
                open.insert(item.path.to_owned());
            }
            true
        });
        self.open = open;
        self.rebuild();
    }

    /// Unfolds everything.
    pub fn open_all(&mut self) {
        self.open_to(usize::MAX);
    }

    /// Folds everything.
    pub fn fold_all(&mut self) {
        self.open_to(0);
    }

    /// Returns the row with this path, if it is visible.
    pub fn row_of(&self, path: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.path == path)
    }

    /// Returns a row's value to copy: a text as it is, anything else as JSON.
    pub fn value(&self, row: usize) -> Option<String> {
        let wanted = &self.rows.get(row)?.path;
        let mut found = None;
        walk(&self.document, &mut |item| {
            if item.path == wanted {
                found = Some(match item.value {
                    Value::String(text) => text.clone(),
                    other => serde_json::to_string_pretty(other).unwrap_or_default(),
                });
            }
            found.is_none() && wanted.starts_with(item.path)
        });
        found
    }

    /// Finds the next row (or the previous one) whose name or value holds the text, in the folded
    /// parts too, going round at the end; unfolds what hides it and returns its row. Case counts
    /// only if the text has an upper-case letter.
    pub fn find(&mut self, text: &str, from: usize, backward: bool) -> Option<usize> {
        let exact = text.chars().any(char::is_uppercase);
        let holds = |s: &str| {
            if exact { s.contains(text) } else { s.to_lowercase().contains(&text.to_lowercase()) }
        };
        let here = self.rows.get(from).map(|row| row.path.clone());
        let mut hits: Vec<String> = Vec::new();
        // How many of the hits come before the row we are on, and whether that is one itself.
        let (mut before, mut on_hit) = (None, false);
        walk(&self.document, &mut |item| {
            let at_start = Some(item.path) == here.as_deref();
            if at_start {
                before = Some(hits.len());
            }
            let hit = holds(item.key)
                || match item.value {
                    Value::Array(_) | Value::Object(_) => false,
                    Value::String(text) => holds(text),
                    other => holds(&other.to_string()),
                };
            if hit {
                on_hit |= at_start;
                hits.push(item.path.to_owned());
            }
            true
        });
        if hits.is_empty() || text.is_empty() {
            return None;
        }
        let before = before.unwrap_or(0);
        let next = if backward {
            before.checked_sub(1).unwrap_or(hits.len() - 1)
        } else {
            (before + usize::from(on_hit)) % hits.len()
        };
        let path = hits.swap_remove(next);
        self.reveal(&path);
        self.row_of(&path)
    }

    /// Returns how many rows, folded ones included, hold the text.
    pub fn count(&self, text: &str) -> usize {
        let lower = text.to_lowercase();
        let exact = text.chars().any(char::is_uppercase);
        let holds =
            |s: &str| if exact { s.contains(text) } else { s.to_lowercase().contains(&lower) };
        let mut count = 0;
        walk(&self.document, &mut |item| {
            let value = match item.value {
                Value::Array(_) | Value::Object(_) => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            count += usize::from(holds(item.key) || holds(&value));
            true
        });
        count
    }

    /// Unfolds all that hides this path.
    fn reveal(&mut self, path: &str) {
        let mut parents: Vec<String> = Vec::new();
        walk(&self.document, &mut |item| {
            let inside = path
                .strip_prefix(item.path)
                .is_some_and(|rest| rest.starts_with('.') || rest.starts_with('['));
            if inside {
                parents.push(item.path.to_owned());
            }
            inside
        });
        self.open.extend(parents);
        self.rebuild();
    }

    fn rebuild(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        let open_paths = &self.open;
        walk(&self.document, &mut |item| {
            let kind = kind(item.value);
            let open = kind.folds() && open_paths.contains(item.path);
            rows.push(Row {
                depth: item.depth,
                key: safe(item.key),
                preview: preview(item.value),
                kind,
                open,
                path: item.path.to_owned(),
            });
            open
        });
        self.rows = rows;
    }
}

struct Item<'a> {
    depth: usize,
    key: &'a str,
    path: &'a str,
    value: &'a Value,
}

/// Calls `visit` for every value in order, going into those for which it returns true.
fn walk(document: &Value, visit: &mut dyn FnMut(Item<'_>) -> bool) {
    descend(document, 0, &mut String::new(), visit);
}

fn descend(
    value: &Value,
    depth: usize,
    path: &mut String,
    visit: &mut dyn FnMut(Item<'_>) -> bool,
) {
    let base = path.len();
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if !is_plain(key) {
                    path.push('[');
                    path.push_str(&Value::from(key.as_str()).to_string());
                    path.push(']');
                } else {
                    if base > 0 {
                        path.push('.');
                    }
                    path.push_str(key);
                }
                if visit(Item { depth, key, path, value }) {
                    descend(value, depth + 1, path, visit);
                }
                path.truncate(base);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                let key = format!("[{index}]");
                path.push_str(&key);
                if visit(Item { depth, key: &key, path, value }) {
                    descend(value, depth + 1, path, visit);
                }
                path.truncate(base);
            }
        }
        _ => {}
    }
}

/// Whether a name needs no quotes in a path.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn kind(value: &Value) -> RowKind {
    match value {
        Value::Object(map) => RowKind::Object(map.len()),
        Value::Array(list) => RowKind::Array(list.len()),
        Value::String(_) => RowKind::String,
        Value::Number(_) => RowKind::Number,
        Value::Bool(_) => RowKind::Bool,
        Value::Null => RowKind::Null,
    }
}

fn preview(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => format!("{{{}}}", map.len()),
        Value::Array(list) if list.is_empty() => "[]".to_owned(),
        Value::Array(list) => format!("[{}]", list.len()),
        other => safe(&other.to_string()),
    }
}

/// JSON's own writer escapes control characters below U+0020 in values; names, the other control
/// characters, and those that reorder or hide text are escaped here.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        let hidden = matches!(
            letter,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        );
        if letter.is_control() || hidden {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tree() -> Tree {
        let document = json!({
            "Id": "abc",
            "State": {"Running": true, "Health": {"Log": [{"Output": "fine"}, {"Output": "bad"}]}},
            "Labels": {"a.b": "x\u{1b}[2J\u{202e}y", "Fine": null},
            "Args": [],
        });
        Tree::new(document, 0)
    }

    fn shown(tree: &Tree) -> Vec<String> {
        tree.rows()
            .iter()
            .map(|r| format!("{}{}={}", " ".repeat(r.depth), r.key, r.preview))
            .collect()
    }

    #[test]
    fn rows_fold_and_unfold() {
        let mut tree = tree();
        assert_eq!(shown(&tree), ["Id=\"abc\"", "State={2}", "Labels={2}", "Args=[]"]);
        assert_eq!(tree.unfold(1), 1);
        assert_eq!(tree.rows()[2].path, "State.Running");
        assert_eq!(tree.unfold(1), 2);
        assert_eq!(tree.fold(3), 1, "a folded row goes to its parent");
        assert_eq!(tree.fold(1), 1);
        assert_eq!(tree.rows().len(), 4);
        tree.toggle(3);
        assert_eq!(tree.rows().len(), 4, "what is empty doesn't unfold");
        tree.open_all();
        assert_eq!(tree.rows().len(), 13);
        assert_eq!(tree.rows()[5].path, "State.Health.Log[0]");
        tree.fold_all();
        assert_eq!(tree.rows().len(), 4);
    }

    #[test]
    fn an_update_keeps_what_is_unfolded() {
        let mut tree = tree();
        tree.toggle(1);
        let mut document = tree.document().clone();
        document["State"]["Running"] = json!(false);
        tree.update(document);
        assert_eq!(shown(&tree)[2], " Running=false");
    }

    #[test]
    fn search_goes_round_and_unfolds() {
        let mut tree = tree();
        assert_eq!(tree.count("fine"), 2);
        let first = tree.find("fine", 0, false).unwrap();
        assert_eq!(tree.rows()[first].path, "State.Health.Log[0].Output");
        let second = tree.find("fine", first, false).unwrap();
        assert_eq!(tree.rows()[second].path, "Labels.Fine");
        let third = tree.find("fine", second, false).unwrap();
        assert_eq!(third, first);
        let back = tree.find("fine", first, true).unwrap();
        assert_eq!(tree.rows()[back].path, "Labels.Fine");
        let hit = tree.find("Fine", 0, false).unwrap();
        assert_eq!(tree.rows()[hit].path, "Labels.Fine", "an upper-case letter makes case count");
        assert_eq!(tree.find("nothing", 0, false), None);
    }

    #[test]
    fn values_are_copied_whole_and_shown_safe() {
        let mut tree = tree();
        tree.open_all();
        let row = tree.row_of("Labels[\"a.b\"]").unwrap();
        assert_eq!(tree.value(row).unwrap(), "x\u{1b}[2J\u{202e}y");
        let preview = &tree.rows()[row].preview;
        assert_eq!(preview, "\"x\\u001b[2J\\u{202e}y\"");
        let row = tree.row_of("State.Health.Log").unwrap();
        let copied: Value = serde_json::from_str(&tree.value(row).unwrap()).unwrap();
        assert_eq!(copied[1]["Output"], "bad");
    }
}
