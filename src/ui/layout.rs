//! Where things are on the screen. Drawing and the mouse both ask here, so that a click hits what
//! is seen.

use ratatui::layout::Rect;

use crate::app::topology::Scale;
use crate::app::{App, Focus, Screen, Zoom};

/// The least terminal that shows anything useful.
pub(crate) const LEAST: (u16, u16) = (40, 8);

/// Where the parts of the screen are; an empty part isn't shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// The tab.
    pub detail: Rect,
    /// The rule between list and tab when they are side by side.
    pub rule: Rect,
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
        Zoom::List => layout.put_list(body),
        Zoom::Detail => layout.put_detail(body),
        // No room for both: what has the focus is shown.
        Zoom::Split if small => match app.focus {
            Focus::List => layout.put_list(body),
            Focus::Detail => layout.put_detail(body),
        },
        Zoom::Split if width >= 180 => {
            let left = width / 2;
            layout.put_list(Rect { width: left, ..body });
            layout.rule = Rect { x: left, width: 1, ..body };
            layout.put_detail(Rect { x: left + 1, width: width - left - 1, ..body });
        }
        Zoom::Split => {
            let rows = match app.screen {
                Screen::Containers => app.containers.shown.len(),
                Screen::Images => app.images.shown.len(),
                Screen::Volumes => app.volumes.shown.len(),
                Screen::Networks => app.networks.topology.parts(Scale::Boxes).len(),
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
            layout.put_detail(Rect { y: body.y + list, height: rest, ..body });
        }
    }
    Some(layout)
}

impl Layout {
    fn put_list(&mut self, area: Rect) {
        self.head = Rect { height: 1, ..area };
        self.list = Rect { y: area.y + 1, height: area.height - 1, ..area };
    }

    fn put_detail(&mut self, area: Rect) {
        self.tabs = Rect { height: 1, ..area };
        self.detail = Rect { y: area.y + 1, height: area.height - 1, ..area };
    }

    /// Returns how many rows of the list are on screen; the least for a list that isn't shown.
    pub(crate) fn list_rows(&self) -> usize {
        usize::from(self.list.height.max(1))
    }

    /// Returns the room for lines in the log tab: columns and rows. The first row is the state
    /// of the view.
    pub(crate) fn log_room(&self) -> (usize, usize) {
        let rows = self.detail.height.saturating_sub(1 + self.log_bars().height).max(1);
        (usize::from(self.detail.width), usize::from(rows))
    }

    /// Returns where the log's histogram is: bars, and a row with marks and times. Empty where the
    /// lines need the room.
    pub(crate) fn log_bars(&self) -> Rect {
        let area = self.detail;
        if area.height < 9 || area.width < 20 {
            return Rect { height: 0, ..area };
        }
        Rect { x: area.x + 1, y: area.y + 1, width: area.width - 2, height: 2 }
    }

    /// Returns how many rows the tables and trees in a tab have; the first is a heading.
    pub(crate) fn detail_rows(&self) -> usize {
        usize::from(self.detail.height.saturating_sub(1).max(1))
    }
}

/// Returns a tab's place in the bar of tabs: its first column and its width.
pub(crate) fn tab_at(app: &App, bar: Rect, number: usize) -> Option<Rect> {
    let mut x = bar.x + 1;
    for (n, tab) in app.screen.tabs().iter().enumerate() {
        let width = u16::try_from(tab.title().len()).ok()? + 2;
        if n == number {
            return Some(Rect { x, y: bar.y, width, height: 1 });
        }
        x += width + 1;
    }
    None
}

/// Below this width only the screen that is shown has its name in the header.
const NAMES: u16 = 64;

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
