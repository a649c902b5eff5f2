//! What lies over the screen. Where its parts are is computed in one place, for drawing and for
//! the mouse.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::pages::{self, Spans};
use super::{Line, put, run_form, transfers};
use crate::app::{
    App, Column, ColumnChoice, Confirm, Consent, Menu, Overlay, Palette, Prompt, PromptFor,
};
use crate::layout::centered;
use crate::text::{width, wrap};
use crate::theme::Role;

/// What a click on a dialog hits.
pub(crate) enum Hit {
    /// Nothing of it.
    Outside,
    /// Nothing that can be pressed.
    Inside,
    /// An entry.
    Item(usize),
    /// The button that does it.
    Yes,
    /// The button that doesn't.
    Cancel,
}

/// A dialog's lines and their place.
struct Shape {
    outer: Rect,
    inner: Rect,
    lines: Vec<Spans>,
    /// Lines scrolled away.
    scroll: usize,
}

/// Returns the palette's first entry in sight.
fn palette_top(palette: &Palette, rows: usize) -> usize {
    (palette.at + 1).saturating_sub(rows)
}

/// Returns the room inside the largest box: columns and rows.
fn room(app: &App) -> (usize, usize) {
    let (columns, rows) = app.size;
    (usize::from(columns.saturating_sub(4)), usize::from(rows.saturating_sub(2)))
}

/// Returns where an overlay is.
pub(super) fn place(app: &App, overlay: &Overlay) -> Rect {
    shape(app, overlay).outer
}

fn shape(app: &App, overlay: &Overlay) -> Shape {
    let (columns, rows) = room(app);
    let (lines, scroll, extra) = match overlay {
        Overlay::Help { scroll } => (pages::help(app, columns.min(110)), *scroll, 0),
        Overlay::Errors { scroll } => (pages::errors(app, columns.min(90)), *scroll, 0),
        Overlay::Page(page) => (pages::page(page, columns.min(76)), page.scroll, 0),
        Overlay::Menu(menu) => (menu_lines(app, menu, columns), 0, line_rows(menu)),
        Overlay::Confirm(confirm) => (confirm_lines(confirm, columns.min(60)), confirm.scroll, 2),
        Overlay::Prompt(prompt) => (prompt_lines(app, prompt, columns.min(72)), 0, 0),
        Overlay::Palette(palette) => (palette_lines(palette), 0, 0),
        Overlay::Transfer { operation, scroll } => {
            (transfers::lines(app, *operation, columns.min(72)), *scroll, 0)
        }
        Overlay::Run(form) => (run_form::lines(app, form, columns.min(76), rows), 0, 0),
        Overlay::Columns(choice) => (column_lines(app, choice), 0, 0),
    };
    let widest = lines.iter().map(|l| l.iter().map(|(t, _)| width(t)).sum::<usize>()).max();
    let widest = match overlay {
        Overlay::Menu(menu) => {
            let lines = menu.lines.iter().map(|line| (width(line) + 2).min(76)).max();
            widest.max(lines)
        }
        _ => widest,
    };
    let least = match overlay {
        Overlay::Palette(_) => 50,
        Overlay::Prompt(prompt) => (width(&prompt.title) + 4).max(50),
        // These change while they are open, and stay where they are.
        Overlay::Transfer { .. } => 72,
        Overlay::Run(_) => 76,
        _ => width(plain_title(overlay)) + 4,
    };
    let wide = widest.unwrap_or(0).max(least).min(columns);
    let high = match overlay {
        Overlay::Palette(_) => 14.min(rows),
        _ => (lines.len() + extra).min(rows),
    };
    let outer = centered(app, wide + 4, high + 2);
    let inner = Rect {
        x: outer.x + 2,
        y: outer.y + 1,
        width: outer.width.saturating_sub(4),
        height: outer.height.saturating_sub(2),
    };
    Shape { outer, inner, lines, scroll }
}

fn title(app: &App, overlay: &Overlay) -> String {
    if let Overlay::Transfer { operation, .. } = overlay {
        return transfers::title(app, *operation);
    }
    if let Overlay::Run(form) = overlay {
        return format!("Run {}", form.label);
    }
    plain_title(overlay).to_owned()
}

fn plain_title(overlay: &Overlay) -> &str {
    match overlay {
        Overlay::Transfer { .. } | Overlay::Run(_) => "",
        Overlay::Help { .. } => "Keys",
        Overlay::Errors { .. } => "What has failed",
        Overlay::Menu(menu) => &menu.title,
        Overlay::Page(page) => &page.title,
        Overlay::Confirm(confirm) => &confirm.title,
        Overlay::Prompt(prompt) => &prompt.title,
        Overlay::Palette(_) => "Do",
        Overlay::Columns(_) => "Columns, from left to right",
    }
}

/// Returns how many rows a menu has for the command line of what is selected.
fn line_rows(menu: &Menu) -> usize {
    if menu.lines.iter().any(|line| !line.is_empty()) { 2 } else { 0 }
}

fn menu_lines(app: &App, menu: &Menu, columns: usize) -> Vec<Spans> {
    let ellipsis = app.theme.glyphs().ellipsis;
    let keys = menu.items.iter().map(|i| width(&i.key)).max().unwrap_or(0);
    menu.items
        .iter()
        .map(|item| {
            let blank = " ".repeat(keys - width(&item.key));
            let gap = if keys > 0 { "  " } else { "" };
            let text = crate::text::fit(&item.text, columns.saturating_sub(keys + 2), ellipsis);
            vec![(item.key.clone(), Role::Key), (format!("{blank}{gap}{text}"), Role::Text)]
        })
        .collect()
}

fn column_lines(app: &App, choice: &ColumnChoice) -> Vec<Spans> {
    let line = |(column, wanted): &(Column, bool)| {
        let sorted = if *column == app.containers.sort { "  sorted by this" } else { "" };
        let (mark, role) = if *wanted { ("[x] ", Role::Text) } else { ("[ ] ", Role::Dim) };
        let name = format!("{mark}{:<10}", column.word());
        vec![(name, role), (sorted.to_owned(), Role::Info)]
    };
    choice.list.iter().map(line).collect()
}

/// Returns the first of so many entries in sight, the selected one being the last at most.
fn top_of(at: usize, rows: u16) -> usize {
    (at + 1).saturating_sub(usize::from(rows))
}

fn confirm_lines(confirm: &Confirm, columns: usize) -> Vec<Spans> {
    let lines = confirm.body.iter().flat_map(|text| {
        // What begins with blanks is an entry of a list and keeps them.
        let indent = text.len() - text.trim_start().len();
        let blank = " ".repeat(indent);
        let lines = wrap(text.trim_start(), columns.saturating_sub(indent));
        lines.into_iter().map(move |l| vec![(format!("{blank}{l}"), Role::Text)])
    });
    let mut lines: Vec<Spans> = lines.collect();
    if !confirm.lines.is_empty() {
        lines.push(Vec::new());
    }
    for line in &confirm.lines {
        let rows = wrap(line, columns.saturating_sub(2)).into_iter().enumerate();
        let prompt = |n: usize| if n == 0 { "$ " } else { "  " };
        lines.extend(rows.map(|(n, row)| vec![(format!("{}{row}", prompt(n)), Role::Dim)]));
    }
    lines
}

fn prompt_lines(app: &App, prompt: &Prompt, columns: usize) -> Vec<Spans> {
    let mut lines = vec![vec![(prompt.input.text().to_owned(), Role::Text)]];
    match &prompt.error {
        Some(error) => {
            lines.extend(wrap(error, columns).into_iter().map(|l| vec![(l, Role::Bad)]));
        }
        None if matches!(
            prompt.purpose,
            PromptFor::Limits { before: None, accepted: true, .. }
        ) =>
        {
            let text = "done as soon as the engine says what they are now";
            lines.push(vec![(text.to_owned(), Role::Warn)]);
        }
        None if matches!(prompt.purpose, PromptFor::Limits { before: None, .. }) => {
            lines.push(vec![("asking what they are now".to_owned(), Role::Dim)]);
        }
        None => lines.push(Vec::new()),
    }
    if let PromptFor::Limits { lasting: Some(what), .. } = &prompt.purpose {
        lines.extend(wrap(what, columns).into_iter().map(|line| vec![(line, Role::Warn)]));
    }
    if let Some(line) = crate::app::line_of_prompt(app, prompt) {
        let rows = wrap(&line, columns.saturating_sub(2)).into_iter().enumerate();
        let begin = |n: usize| if n == 0 { "$ " } else { "  " };
        lines.extend(rows.map(|(n, row)| vec![(format!("{}{row}", begin(n)), Role::Dim)]));
    }
    lines
}

fn palette_lines(palette: &Palette) -> Vec<Spans> {
    let keys = palette.found.iter().map(|item| width(&item.key)).max().unwrap_or(0);
    palette
        .found
        .iter()
        .map(|item| {
            let blank = " ".repeat(keys - width(&item.key));
            vec![(item.key.clone(), Role::Key), (format!("{blank}  {}", item.text), Role::Text)]
        })
        .collect()
}

/// Returns how many lines of the topmost dialog can be scrolled away, and how many are in sight.
pub(crate) fn overlay_scroll(app: &App) -> (usize, usize) {
    let Some(overlay) = app.overlays.last() else { return (0, 0) };
    let shape = shape(app, overlay);
    let rows = visible(overlay, &shape);
    (shape.lines.len().saturating_sub(rows), rows.max(1))
}

/// Returns how many lines of a dialog are in sight.
fn visible(overlay: &Overlay, shape: &Shape) -> usize {
    let rows = usize::from(shape.inner.height);
    match overlay {
        Overlay::Confirm(_) => rows.saturating_sub(2),
        Overlay::Menu(menu) => usize::from(menu_height(menu, shape.inner)),
        _ => rows,
    }
}

/// Returns the places of Cancel and of the button that does it.
fn buttons(confirm: &Confirm, inner: Rect) -> (Rect, Rect) {
    let cancel = "  Cancel  ".len();
    let verb = confirm.verb.len() + 4;
    let wide = |n: usize| u16::try_from(n).unwrap_or(0);
    let y = inner.bottom().saturating_sub(1);
    let x = inner.right().saturating_sub(wide(cancel + verb + 2)).max(inner.x);
    let first = Rect { x, y, width: wide(cancel), height: 1 };
    let second = Rect { x: first.right() + 2, y, width: wide(verb), height: 1 };
    (first, second)
}

/// Returns what of the topmost dialog is at a place.
pub(crate) fn hit_overlay(app: &App, at: Position) -> Hit {
    let Some(overlay) = app.overlays.last() else { return Hit::Outside };
    let shape = shape(app, overlay);
    if !shape.outer.contains(at) {
        return Hit::Outside;
    }
    let row = usize::from(at.y.saturating_sub(shape.inner.y));
    match overlay {
        _ if !shape.inner.contains(at) => Hit::Inside,
        Overlay::Menu(menu) => {
            let at = menu_top(menu, &shape) + row;
            let below = row >= usize::from(menu_height(menu, shape.inner));
            if !below && at < menu.items.len() { Hit::Item(at) } else { Hit::Inside }
        }
        Overlay::Columns(choice) => {
            let at = top_of(choice.at, shape.inner.height) + row;
            if at < choice.list.len() { Hit::Item(at) } else { Hit::Inside }
        }
        Overlay::Palette(palette) => {
            let rows = usize::from(shape.inner.height).saturating_sub(1);
            let at = (palette_top(palette, rows) + row).checked_sub(1);
            match at.filter(|n| *n < palette.found.len()) {
                Some(n) => Hit::Item(n),
                None => Hit::Inside,
            }
        }
        Overlay::Run(form) => match run_form::field_at(form, room(app).1, row) {
            Some(n) => Hit::Item(n),
            None => Hit::Inside,
        },
        Overlay::Confirm(confirm) => {
            let (cancel, yes) = buttons(confirm, shape.inner);
            if cancel.contains(at) {
                Hit::Cancel
            } else if yes.contains(at) {
                Hit::Yes
            } else {
                Hit::Inside
            }
        }
        _ => Hit::Inside,
    }
}

/// Returns how many rows of a menu are its entries'.
fn menu_height(menu: &Menu, inner: Rect) -> u16 {
    let lines = u16::try_from(line_rows(menu)).unwrap_or(0);
    inner.height.saturating_sub(lines).max(1)
}

fn menu_top(menu: &Menu, shape: &Shape) -> usize {
    top_of(menu.at, menu_height(menu, shape.inner))
}

/// Draws all dialogs, the topmost last, and returns where the text cursor is.
pub(super) fn overlays(app: &App, buffer: &mut Buffer) -> Option<Position> {
    let mut cursor = None;
    for overlay in &app.overlays {
        cursor = draw(app, buffer, overlay);
    }
    cursor
}

fn draw(app: &App, buffer: &mut Buffer, overlay: &Overlay) -> Option<Position> {
    let shape = shape(app, overlay);
    frame(app, buffer, shape.outer, &title(app, overlay));
    let inner = shape.inner;
    let rows = usize::from(inner.height);
    match overlay {
        Overlay::Help { .. }
        | Overlay::Errors { .. }
        | Overlay::Page(_)
        | Overlay::Transfer { .. } => {
            page(app, buffer, overlay, &shape);
            None
        }
        Overlay::Run(form) => {
            lines(app, buffer, inner, shape.lines.iter());
            run_form::cursor(form, inner, room(app).1)
        }
        Overlay::Menu(menu) => {
            let top = menu_top(menu, &shape);
            let list = Rect { height: menu_height(menu, inner), ..inner };
            lines(app, buffer, list, shape.lines.iter().skip(top));
            select(app, buffer, list, menu.at - top);
            extent(app, buffer, shape.outer, (top, usize::from(list.height), menu.items.len()));
            if let Some(line) = menu.lines.get(menu.at).filter(|_| line_rows(menu) > 0) {
                let y = inner.bottom().saturating_sub(1);
                let place = Rect { y, height: 1, ..inner };
                let text = if line.is_empty() { String::new() } else { format!("$ {line}") };
                Line::new(app, buffer, place).text(&text, app.theme.style(Role::Dim));
            }
            None
        }
        Overlay::Columns(choice) => {
            let top = top_of(choice.at, inner.height);
            lines(app, buffer, inner, shape.lines.iter().skip(top));
            select(app, buffer, inner, choice.at - top);
            extent(app, buffer, shape.outer, (top, rows, choice.list.len()));
            None
        }
        Overlay::Palette(palette) => {
            let mut line = Line::new(app, buffer, Rect { height: 1, ..inner });
            line.text(":", app.theme.style(Role::Key));
            line.text(palette.input.text(), app.theme.style(Role::Text));
            let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
            let top = palette_top(palette, rows.saturating_sub(1));
            lines(app, buffer, list, shape.lines.iter().skip(top));
            if palette.found.is_empty() {
                put(buffer, list, "nothing is called that", app.theme.style(Role::Dim));
            } else {
                select(app, buffer, list, palette.at - top);
            }
            let x = inner.x + 1 + u16::try_from(width(palette.input.before())).unwrap_or(0);
            Some(Position::new(x.min(inner.right()), inner.y))
        }
        Overlay::Prompt(prompt) => {
            lines(app, buffer, inner, shape.lines.iter());
            let x = inner.x + u16::try_from(width(prompt.input.before())).unwrap_or(0);
            Some(Position::new(x.min(inner.right()), inner.y))
        }
        Overlay::Confirm(confirm) => {
            page(app, buffer, overlay, &shape);
            let (cancel, yes) = buttons(confirm, inner);
            let (on, off) = (Role::Chosen, Role::Text);
            let chosen = confirm.consent == Consent::Yes;
            let (cancel_role, yes_role) = if chosen { (off, on) } else { (on, off) };
            let label = |text: &str, chosen: bool| {
                if chosen { format!("[ {text} ]") } else { format!("  {text}  ") }
            };
            put(buffer, cancel, &label("Cancel", !chosen), app.theme.style(cancel_role));
            put(buffer, yes, &label(confirm.verb, chosen), app.theme.style(yes_role));
            None
        }
    }
}

/// Draws the lines of a page from where it is scrolled to, and how much of it there is.
fn page(app: &App, buffer: &mut Buffer, overlay: &Overlay, shape: &Shape) {
    let rows = visible(overlay, shape);
    let limit = shape.lines.len().saturating_sub(rows);
    let scroll = shape.scroll.min(limit);
    let place = Rect { height: u16::try_from(rows).unwrap_or(0), ..shape.inner };
    lines(app, buffer, place, shape.lines.iter().skip(scroll));
    extent(app, buffer, shape.outer, (scroll, rows, shape.lines.len()));
}

/// Says on the frame which rows are in sight, if not all are: the first, how many, and of how many.
fn extent(app: &App, buffer: &mut Buffer, outer: Rect, (first, rows, all): (usize, usize, usize)) {
    if rows >= all {
        return;
    }
    let text = format!(" {}-{} of {all} ", first + 1, first + rows);
    let wide = u16::try_from(width(&text)).unwrap_or(0);
    let x = outer.right().saturating_sub(wide + 2).max(outer.x);
    let y = outer.bottom().saturating_sub(1);
    put(buffer, Rect { x, y, width: wide, height: 1 }, &text, app.theme.style(Role::Dim));
}

fn lines<'a>(app: &App, buffer: &mut Buffer, area: Rect, lines: impl Iterator<Item = &'a Spans>) {
    for (y, spans) in (area.y..area.bottom()).zip(lines) {
        let mut line = Line::new(app, buffer, Rect { y, height: 1, ..area });
        for (text, role) in spans {
            line.text(text, app.theme.style(*role));
        }
    }
}

fn select(app: &App, buffer: &mut Buffer, area: Rect, row: usize) {
    let Ok(row) = u16::try_from(row) else { return };
    if row < area.height {
        // The bar reaches the frame.
        let place =
            Rect { x: area.x.saturating_sub(1), y: area.y + row, width: area.width + 2, height: 1 };
        buffer.set_style(place, app.theme.style(Role::Selected));
    }
}

/// Draws an empty box with a title.
fn frame(app: &App, buffer: &mut Buffer, area: Rect, title: &str) {
    let area = area.intersection(buffer.area);
    if area.width < 2 || area.height < 2 {
        return;
    }
    // A wide letter must not reach into the box.
    for y in area.y..area.bottom() {
        if let Some(x) = area.x.checked_sub(1)
            && let Some(cell) = buffer.cell_mut((x, y))
            && width(cell.symbol()) > 1
        {
            cell.set_symbol(" ");
        }
    }
    for position in area.positions() {
        if let Some(cell) = buffer.cell_mut(position) {
            cell.reset();
        }
    }
    let glyphs = app.theme.glyphs();
    let dim = app.theme.style(Role::Dim);
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    let rule = glyphs.rule.repeat(usize::from(area.width - 2));
    for y in [area.y, bottom] {
        buffer.set_string(area.x + 1, y, &rule, dim);
    }
    for y in area.y + 1..bottom {
        buffer.set_string(area.x, y, glyphs.bar, dim);
        buffer.set_string(right, y, glyphs.bar, dim);
    }
    let corners = [(area.x, area.y), (right, area.y), (area.x, bottom), (right, bottom)];
    for ((x, y), corner) in corners.into_iter().zip(glyphs.corners) {
        buffer.set_string(x, y, corner, dim);
    }
    let room = usize::from(area.width.saturating_sub(4));
    let title = crate::text::fit(title, room.saturating_sub(2), glyphs.ellipsis);
    let place = Rect { x: area.x + 2, y: area.y, width: area.width - 4, height: 1 };
    put(buffer, place, &format!(" {title} "), app.theme.style(Role::Title));
}
