//! What the pages say: the keys, and past failures. Lines of spans, so that their number is known
//! before they are drawn.

use crate::app::{App, Page};
use crate::keymap::Context;
use crate::text::{width, wrap};
use crate::theme::Role;

/// A line of a page.
pub(super) type Spans = Vec<(String, Role)>;

/// Returns the keys that do something where the help was opened, by where they belong.
pub(super) fn help(app: &App, columns: usize) -> Vec<Spans> {
    let mut sections: Vec<(&'static str, Vec<(String, String)>)> = Vec::new();
    for (binding, keys) in app.keymap.effective(app.main_contexts()) {
        let title = match binding.context {
            // The list of a screen stays in force beside its tabs.
            Context::Always => Context::Global.title(),
            context => context.title(),
        };
        let mut names: Vec<String> = keys.iter().map(|k| k.name()).collect();
        if names.is_empty() {
            // What has no key is found in the palette by its first word.
            let word = binding.text.split(' ').next().unwrap_or_default();
            names.push(format!(":{word}"));
        }
        let entry = (names.join(" "), binding.text.clone());
        match sections.iter_mut().find(|(t, _)| *t == title) {
            Some((_, list)) => list.push(entry),
            None => sections.push((title, vec![entry])),
        }
    }
    let keys = sections.iter().flat_map(|(_, l)| l).map(|(k, _)| width(k)).max().unwrap_or(0);
    let keys = keys.min(columns / 2);
    let texts = sections.iter().flat_map(|(_, l)| l).map(|(_, t)| width(t)).max().unwrap_or(0);
    let entry = |(key, text): &(String, String)| -> Spans {
        let blank = " ".repeat(keys.saturating_sub(width(key)));
        vec![(key.clone(), Role::Key), (format!("{blank}  {text}"), Role::Text)]
    };
    let one = keys + 2 + texts;
    let mut lines = Vec::new();
    for (title, list) in &sections {
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        lines.push(vec![((*title).to_owned(), Role::Title)]);
        if columns >= one * 2 + 3 {
            // Two columns, read downwards.
            let half = list.len().div_ceil(2);
            for n in 0..half {
                let mut line = list.get(n).map(entry).unwrap_or_default();
                if let Some(right) = list.get(half + n) {
                    let used: usize = line.iter().map(|(t, _)| width(t)).sum();
                    line.push((" ".repeat((one + 3).saturating_sub(used)), Role::Text));
                    line.extend(entry(right));
                }
                lines.push(line);
            }
        } else {
            lines.extend(list.iter().map(entry));
        }
    }
    lines
}

/// Returns the lines of a page.
pub(super) fn page(page: &Page, columns: usize) -> Vec<Spans> {
    let mut lines: Vec<Spans> = Vec::new();
    if let Some((verdict, good)) = &page.verdict {
        let role = if *good { Role::Good } else { Role::Bad };
        lines.extend(wrap(verdict, columns).into_iter().map(|line| vec![(line, role)]));
        lines.push(Vec::new());
    }
    for text in &page.body {
        lines.extend(wrap(text, columns).into_iter().map(|line| vec![(line, Role::Text)]));
    }
    lines
}

/// Returns past failures, newest first.
pub(super) fn errors(app: &App, columns: usize) -> Vec<Spans> {
    let mut lines: Vec<Spans> = Vec::new();
    if let crate::app::Link::Lost(why) = &app.host().link {
        lines.push(vec![("not connected".to_owned(), Role::Bad)]);
        lines.extend(wrap(why, columns).into_iter().map(|l| vec![(l, Role::Text)]));
    }
    for problem in app.problems.iter().rev() {
        if !lines.is_empty() {
            lines.push(Vec::new());
        }
        lines.push(vec![
            (format!("{}  ", problem.at.format("%H:%M:%S UTC")), Role::Dim),
            (problem.what.clone(), Role::Title),
        ]);
        lines.extend(wrap(&problem.text, columns).into_iter().map(|l| vec![(l, Role::Bad)]));
    }
    if lines.is_empty() {
        lines.push(vec![("nothing has failed".to_owned(), Role::Dim)]);
    }
    lines
}
