//! Where things are on the screen. Drawing and the mouse both ask here, so that a click hits what
//! is seen.

use ratatui::layout::Rect;

use crate::app::topology::Scale;
use crate::app::{App, Focus, Screen, Tab, Zoom};

/// The least terminal that shows anything useful.
pub(crate) const LEAST: (u16, u16) = (40, 8);

/// The least room of a pane that stands beside or below others: columns, rows.
const PANE: (u16, u16) = (56, 8);

/// From this width on list and panes are side by side, and the panes one below the other.
const WIDE: u16 = 180;

/// One of the panes beside the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pane {
    /// What it shows.
    pub tab: Tab,
    /// Its title; empty where it is the only one.
    pub head: Rect,
    /// What it shows, there.
    pub body: Rect,
}

/// Where the parts of the screen are; an empty part isn't shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The screens' names and counts.
    pub header: Rect,
    /// The host's line.
    pub host: Rect,
    /// The list's headings.
    pub head: Rect,
    /// The list's rows.
    pub list: Rect,
    /// The tabs' names.
    pub tabs: Rect,
    /// The tab that gets the keys when they aren't the list's.
    pub detail: Rect,
    /// All tabs in sight, that one among them.
    pub panes: Vec<Pane>,
    /// The rules between what is side by side.
    pub rules: Vec<Rect>,
    /// The hints, the message, or the line being typed.
    pub footer: Rect,
}

/// Returns where things are, or none if the terminal is too small for anything.
pub(crate) fn layout(app: &App) -> Option<Layout> {
    let (width, height) = app.size;
    if width < LEAST.0 || height < LEAST.1 {
        return None;
    }
    let row = |y: u16, rows: u16| Rect::new(0, y, width, rows);
    let mut layout = Layout { header: row(0, 1), footer: row(height - 1, 1), ..Layout::default() };
    let mut top = 1;
    if height >= 16 {
        layout.host = row(1, 1);
        top = 2;
    }
    let body = row(top, height - 1 - top);
    let small = body.height < 15;
    match app.zoom {
        _ if app.screen.tabs().is_empty() => layout.put_list(body),
        Zoom::List => layout.put_list(body),
        Zoom::Detail => layout.put_detail(app, body, 1, false),
        // No room for both: what has the focus is shown.
        Zoom::Split if small => match app.focus {
            Focus::List => layout.put_list(body),
            Focus::Detail => layout.put_detail(app, body, 1, false),
        },
        Zoom::Split if width >= WIDE => {
            let left = width / 2;
            layout.put_list(Rect { width: left, ..body });
            layout.rules.push(Rect { x: left, width: 1, ..body });
            let right = Rect { x: left + 1, width: width - left - 1, ..body };
            layout.put_detail(app, right, usize::from((body.height - 1) / PANE.1), true);
        }
        Zoom::Split => {
            let rows = match app.screen {
                Screen::Containers => app.containers.entries.len(),
                Screen::Images => app.images.shown.len(),
                Screen::Volumes => app.volumes.shown.len(),
                Screen::Networks => app.networks.topology.parts(Scale::Boxes).len(),
                Screen::Events | Screen::System => 0,
            };
            // The list takes what it needs, up to a bit less than half; a drawing up to two thirds.
            let most = match app.screen {
                Screen::Networks => body.height * 2 / 3,
                _ => body.height * 9 / 20,
            };
            let wanted = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(1);
            let list = wanted.clamp(6.min(most), most);
            layout.put_list(Rect { height: list, ..body });
            let rest = body.height - list;
            let below = Rect { y: body.y + list, height: rest, ..body };
            layout.put_detail(app, below, usize::from(width / PANE.0), false);
        }
    }
    Some(layout)
}

impl Layout {
    fn put_list(&mut self, area: Rect) {
        self.head = Rect { height: 1, ..area };
        self.list = Rect { y: area.y + 1, height: area.height - 1, ..area };
    }

    /// Gives the tabs their room: as many of the panes as fit, side by side or stacked.
    fn put_detail(&mut self, app: &App, area: Rect, room: usize, stacked: bool) {
        self.tabs = Rect { height: 1, ..area };
        let area = Rect { y: area.y + 1, height: area.height - 1, ..area };
        let panes = app.panes();
        let seen = panes.in_sight(room);
        if seen.len() == 1 {
            self.detail = area;
            self.panes.push(Pane { tab: panes.tab(), head: Rect::default(), body: area });
            return;
        }
        let count = u16::try_from(seen.len()).unwrap_or(1);
        for (n, at) in (0..count).zip(seen) {
            let Some(tab) = panes.tabs().get(at).copied() else { continue };
            let part = |whole: u16| (whole * n / count, whole * (n + 1) / count);
            let outer = if stacked {
                let (from, to) = part(area.height);
                Rect { y: area.y + from, height: to - from, ..area }
            } else {
                let (from, to) = part(area.width);
                // A column between two panes is the rule's.
                let gap = u16::from(n > 0);
                if gap > 0 {
                    self.rules.push(Rect { x: area.x + from, width: 1, ..area });
                }
                Rect { x: area.x + from + gap, width: to - from - gap, ..area }
            };
            let head = Rect { height: 1, ..outer };
            let body = Rect { y: outer.y + 1, height: outer.height - 1, ..outer };
            if at == panes.at() {
                self.detail = body;
            }
            self.panes.push(Pane { tab, head, body });
        }
    }

    /// Returns where a tab is, if it is in sight.
    pub(crate) fn pane(&self, tab: Tab) -> Option<Rect> {
        self.panes.iter().find(|pane| pane.tab == tab).map(|pane| pane.body)
    }

    /// Returns how many rows of the list are on screen; the least for a list that isn't shown.
    pub(crate) fn list_rows(&self) -> usize {
        usize::from(self.list.height.max(1))
    }

    /// Returns the room for lines in the log tab: columns and rows. The first row is the state
    /// of the view.
    pub(crate) fn log_room(&self) -> (usize, usize) {
        let room = self.pane(Tab::Logs).unwrap_or(self.detail);
        let rows = room.height.saturating_sub(1 + self.log_bars().height).max(1);
        (usize::from(room.width), usize::from(rows))
    }

    /// Returns where the log's histogram is: bars, and a row with marks and times. Empty where the
    /// lines need the room.
    pub(crate) fn log_bars(&self) -> Rect {
        let area = self.pane(Tab::Logs).unwrap_or(self.detail);
        if area.height < 9 || area.width < 20 {
            return Rect { height: 0, ..area };
        }
        Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: 2 }
    }

    /// Returns how many rows the table or tree of a tab has; the first is a heading.
    pub(crate) fn rows_of(&self, tab: Tab) -> usize {
        let room = self.pane(tab).unwrap_or(self.detail);
        usize::from(room.height.saturating_sub(1).max(1))
    }
}

/// Returns a tab's place in the bar of tabs. A narrow bar begins with a later tab, so that the one
/// that is shown is in sight; none for a tab that isn't.
pub(crate) fn tab_at(app: &App, bar: Rect, number: usize) -> Option<Rect> {
    let tabs = app.tabs();
    let wide = |tab: &Tab| u16::try_from(tab.title().len() + 2).unwrap_or(u16::MAX);
    let shown = tabs.iter().position(|tab| *tab == app.tab()).unwrap_or(0);
    let needed = |first: usize| tabs.get(first..=shown).unwrap_or_default().iter().map(wide).sum();
    let mut first = 0;
    while first < shown && 1u16.saturating_add(needed(first)) > bar.width {
        first += 1;
    }
    let before: u16 = tabs.get(first..number)?.iter().map(wide).sum();
    let place = Rect { x: bar.x + 1 + before, y: bar.y, width: wide(tabs.get(number)?), height: 1 };
    (place.right() <= bar.right()).then_some(place)
}

/// Below this width only the screen that is shown has its name in the header: the counts are worth
/// more.
const NAMES: u16 = 110;

/// Returns what the header calls a screen.
pub(crate) fn screen_title(app: &App, number: usize) -> String {
    match Screen::ALL.get(number) {
        Some(screen) if app.size.0 >= NAMES || *screen == app.screen => {
            format!(" {} {} ", number + 1, screen.title())
        }
        _ => format!(" {} ", number + 1),
    }
}

/// Returns a screen's place in the header.
pub(crate) fn screen_at(app: &App, header: Rect, number: usize) -> Option<Rect> {
    let mut x = header.x;
    for n in 0..Screen::ALL.len() {
        let width = u16::try_from(screen_title(app, n).len()).ok()?;
        if n == number {
            return Some(Rect { x, y: header.y, width, height: 1 });
        }
        x += width;
    }
    None
}

/// Returns a box of this size in the middle of the screen, as far as it fits.
pub(crate) fn centered(app: &App, width: usize, height: usize) -> Rect {
    let (columns, rows) = app.size;
    let width = u16::try_from(width).unwrap_or(u16::MAX).min(columns);
    let height = u16::try_from(height).unwrap_or(u16::MAX).min(rows);
    Rect { x: (columns - width) / 2, y: (rows - height) / 2, width, height }
}
