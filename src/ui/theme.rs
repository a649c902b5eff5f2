//! Colours and letters, as far as the terminal has them. What a colour tells, a letter, a word or
//! an attribute tells too.

use ratatui::style::{Color, Modifier, Style};
use wharf_model::{HealthStatus, Status};

use crate::app::topology::Reach;
use crate::options::{Colors, Look};

/// The letters that draw things.
#[derive(Debug)]
pub struct Glyphs {
    /// Left out text.
    pub ellipsis: &'static str,
    /// A marked row.
    pub mark: &'static str,
    /// Received, read.
    pub down: &'static str,
    /// Sent, written.
    pub up: &'static str,
    /// Sorted from small to large.
    pub ascending: &'static str,
    /// Sorted from large to small.
    pub descending: &'static str,
    /// A horizontal rule.
    pub rule: &'static str,
    /// A vertical rule.
    pub bar: &'static str,
    /// A folded node.
    pub folded: &'static str,
    /// An unfolded node.
    pub unfolded: &'static str,
    /// Something is wrong.
    pub warning: &'static str,
    /// A missing value.
    pub missing: &'static str,
    /// A line goes on in the next row.
    pub wrapped: &'static str,
    /// The frames of a wait.
    pub spinner: &'static [&'static str],
    /// The corners and sides of a box: top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
}

/// The letters that draw networks.
#[derive(Debug)]
pub struct Wires {
    /// The host, from top to bottom.
    pub host: &'static str,
    /// A network.
    pub bus: &'static str,
    /// A network that nothing leaves.
    pub internal: &'static str,
    /// Where a network begins that is tied to the host.
    pub begins: &'static str,
    /// Where one begins that isn't.
    pub closed: &'static str,
    /// Where a line leaves a network.
    pub joint: &'static str,
    /// Where a line leaves the host.
    pub host_joint: &'static str,
    /// A line.
    pub line: &'static str,
    /// A line to what doesn't run.
    pub dead: &'static str,
    /// Where a line meets a box.
    pub tee: &'static str,
}

impl Wires {
    /// Returns what draws a bus.
    pub fn of(&self, reach: Reach) -> &'static str {
        match reach {
            Reach::Host => self.host,
            Reach::Out | Reach::Beside => self.bus,
            Reach::Internal => self.internal,
        }
    }
}

const UNICODE_WIRES: Wires = Wires {
    host: "║",
    bus: "┃",
    internal: "┇",
    begins: "┒",
    closed: "╳",
    joint: "┠",
    host_joint: "╟",
    line: "─",
    dead: "┄",
    tee: "┤",
};

const ASCII_WIRES: Wires = Wires {
    host: "#",
    bus: "|",
    internal: ":",
    begins: "+",
    closed: "x",
    joint: "+",
    host_joint: "+",
    line: "-",
    dead: ".",
    tee: "+",
};

const UNICODE: Glyphs = Glyphs {
    ellipsis: "…",
    mark: "▌",
    down: "↓",
    up: "↑",
    ascending: "▲",
    descending: "▼",
    rule: "─",
    bar: "│",
    folded: "▸",
    unfolded: "▾",
    warning: "⚠",
    missing: "–",
    wrapped: "↪",
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
    corners: ["╭", "╮", "╰", "╯"],
};

const ASCII: Glyphs = Glyphs {
    ellipsis: "~",
    mark: ">",
    down: "v",
    up: "^",
    ascending: "^",
    descending: "v",
    rule: "-",
    bar: "|",
    folded: "+",
    unfolded: "-",
    warning: "!",
    missing: "-",
    wrapped: "\\",
    spinner: &["|", "/", "-", "\\"],
    corners: ["+", "+", "+", "+"],
};

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Plain text.
    Text,
    /// Less important.
    Dim,
    /// A title or a heading.
    Title,
    /// A bar that parts the screen.
    Bar,
    /// The chosen tab or button.
    Chosen,
    /// The selected row of what has the focus.
    Selected,
    /// The selected row of what has not.
    Resting,
    /// Well.
    Good,
    /// Worth a look.
    Warn,
    /// Broken.
    Bad,
    /// Neutral, coloured.
    Info,
    /// A key.
    Key,
    /// A search match.
    Match,
    /// A chart's first line.
    First,
    /// A chart's second line.
    Second,
    /// A limit in a chart.
    Limit,
}

/// Looks up styles and letters.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    look: Look,
}

impl Theme {
    /// Returns the theme for a terminal.
    pub fn new(look: Look) -> Self {
        Self { look }
    }

    /// Returns what the terminal can show.
    pub fn look(self) -> Look {
        self.look
    }

    /// Returns the letters.
    pub fn glyphs(self) -> &'static Glyphs {
        if self.look.unicode { &UNICODE } else { &ASCII }
    }

    /// Returns the letters that draw networks.
    pub fn wires(self) -> &'static Wires {
        if self.look.unicode { &UNICODE_WIRES } else { &ASCII_WIRES }
    }

    /// Returns how text of this meaning looks.
    pub fn style(self, role: Role) -> Style {
        let plain = Style::new();
        match role {
            Role::Text => plain,
            Role::Dim => self.dim(),
            Role::Title => plain.add_modifier(Modifier::BOLD),
            Role::Bar => self.bar(),
            Role::Chosen => match self.look.colors {
                Colors::None | Colors::Ansi16 => plain.add_modifier(Modifier::REVERSED),
                _ => plain.fg(self.fg(Hue::Paper)).bg(self.fg(Hue::Accent)),
            }
            .add_modifier(Modifier::BOLD),
            Role::Selected => match self.look.colors {
                Colors::None | Colors::Ansi16 => plain.add_modifier(Modifier::REVERSED),
                _ => plain.bg(self.fg(Hue::Selection)).add_modifier(Modifier::BOLD),
            },
            Role::Resting => match self.look.colors {
                Colors::None | Colors::Ansi16 => plain.add_modifier(Modifier::UNDERLINED),
                _ => plain.bg(self.fg(Hue::Shade)),
            },
            Role::Good => self.hue(Hue::Green),
            Role::Warn => self.hue(Hue::Yellow),
            Role::Bad => self.hue(Hue::Red).add_modifier(Modifier::BOLD),
            Role::Info | Role::First => self.hue(Hue::Blue),
            Role::Key => self.hue(Hue::Accent).add_modifier(Modifier::BOLD),
            Role::Second => self.hue(Hue::Accent),
            Role::Match => match self.look.colors {
                Colors::None => plain.add_modifier(Modifier::REVERSED),
                _ => plain.fg(Color::Black).bg(self.fg(Hue::Yellow)),
            },
            Role::Limit => self.hue(Hue::Red),
        }
    }

    fn hue(self, hue: Hue) -> Style {
        match self.look.colors {
            Colors::None => Style::new(),
            _ => Style::new().fg(self.fg(hue)),
        }
    }

    fn dim(self) -> Style {
        match self.look.colors {
            Colors::None => Style::new().add_modifier(Modifier::DIM),
            _ => Style::new().fg(self.fg(Hue::Gray)),
        }
    }

    fn bar(self) -> Style {
        match self.look.colors {
            Colors::None | Colors::Ansi16 => {
                Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
            }
            _ => Style::new().bg(self.fg(Hue::Shade)).add_modifier(Modifier::BOLD),
        }
    }

    fn fg(self, hue: Hue) -> Color {
        let (rgb, indexed, ansi) = hue.colors(self.look.light);
        match self.look.colors {
            Colors::True => Color::from_u32(rgb),
            Colors::Ansi256 => Color::Indexed(indexed),
            Colors::Ansi16 => ansi,
            Colors::None => Color::Reset,
        }
    }

    /// Returns the style that a container's text asked for, as far as the terminal has it.
    pub fn foreign(self, style: wharf_logs::Style) -> Style {
        let mut out = Style::new();
        if let Some(color) = style.fg.and_then(|c| self.foreign_color(c)) {
            out = out.fg(color);
        }
        if let Some(color) = style.bg.and_then(|c| self.foreign_color(c)) {
            out = out.bg(color);
        }
        for (wanted, modifier) in [
            (style.bold, Modifier::BOLD),
            (style.dim, Modifier::DIM),
            (style.italic, Modifier::ITALIC),
            (style.underline, Modifier::UNDERLINED),
            (style.reverse, Modifier::REVERSED),
        ] {
            if wanted {
                out = out.add_modifier(modifier);
            }
        }
        out
    }

    fn foreign_color(self, color: wharf_logs::Color) -> Option<Color> {
        match (self.look.colors, color) {
            (Colors::None, _) => None,
            (Colors::True, wharf_logs::Color::Rgb(r, g, b)) => Some(Color::Rgb(r, g, b)),
            (Colors::Ansi256, wharf_logs::Color::Rgb(r, g, b)) => {
                // The 6x6x6 cube of xterm's 256 colours.
                let step = |v: u8| u16::from(v) * 5 / 255;
                let index = 16 + 36 * step(r) + 6 * step(g) + step(b);
                u8::try_from(index).ok().map(Color::Indexed)
            }
            (Colors::Ansi16, wharf_logs::Color::Indexed(n)) if n < 16 => Some(Color::Indexed(n)),
            (Colors::Ansi16, _) => None,
            (_, wharf_logs::Color::Indexed(n)) => Some(Color::Indexed(n)),
        }
    }

    /// Returns a state's letter and meaning.
    pub fn status(self, status: Status) -> (&'static str, Role) {
        let (unicode, ascii, role) = match status {
            Status::Running => ("●", "*", Role::Good),
            Status::Paused => ("‖", "=", Role::Warn),
            Status::Restarting => ("↻", "~", Role::Warn),
            Status::Created => ("○", "o", Role::Info),
            Status::Removing => ("◌", ".", Role::Dim),
            Status::Exited => ("■", "x", Role::Dim),
            Status::Dead => ("✗", "X", Role::Bad),
        };
        (if self.look.unicode { unicode } else { ascii }, role)
    }

    /// Returns the meaning of a verdict.
    pub fn health(self, health: HealthStatus) -> Role {
        match health {
            HealthStatus::Healthy => Role::Good,
            HealthStatus::Starting => Role::Warn,
            HealthStatus::Unhealthy => Role::Bad,
        }
    }
}

#[derive(Clone, Copy)]
enum Hue {
    Green,
    Yellow,
    Red,
    Blue,
    Accent,
    Gray,
    Selection,
    Shade,
    Paper,
}

impl Hue {
    /// Returns the colour for terminals of all, 256 and 16 colours.
    fn colors(self, light: bool) -> (u32, u8, Color) {
        match (self, light) {
            (Self::Green, false) => (0x7e_c7_7e, 114, Color::Green),
            (Self::Green, true) => (0x22_6a_22, 22, Color::Green),
            (Self::Yellow, false) => (0xe0_b0_50, 179, Color::Yellow),
            (Self::Yellow, true) => (0x7f_56_00, 94, Color::Yellow),
            (Self::Red, false) => (0xf0_7a_7a, 210, Color::Red),
            (Self::Red, true) => (0xb0_20_20, 124, Color::Red),
            (Self::Blue, false) => (0x6a_a8_e8, 75, Color::Blue),
            (Self::Blue, true) => (0x20_60_b0, 25, Color::Blue),
            (Self::Accent, false) => (0x56_b6_c2, 73, Color::Cyan),
            (Self::Accent, true) => (0x00_60_70, 23, Color::Cyan),
            (Self::Gray, false) => (0x9a_a3_ae, 248, Color::DarkGray),
            (Self::Gray, true) => (0x56_5d_6a, 240, Color::DarkGray),
            (Self::Selection, false) => (0x24_38_4f, 18, Color::Blue),
            (Self::Selection, true) => (0xcf_e0_f5, 189, Color::Blue),
            (Self::Shade, false) => (0x24_29_31, 236, Color::Black),
            (Self::Shade, true) => (0xe4_e7_ec, 254, Color::White),
            (Self::Paper, false) => (0x10_14_1a, 233, Color::Black),
            (Self::Paper, true) => (0xff_ff_ff, 231, Color::White),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The brightness of a colour as WCAG 2 defines it, 0 to 1.
    fn luminance(rgb: u32) -> f64 {
        let part = |shift: u32| {
            let value = f64::from(rgb >> shift & 0xff) / 255.0;
            if value <= 0.03928 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
    }

    /// The colour that xterm has at a place of its 256, of those above the first 16.
    fn xterm(index: u8) -> u32 {
        let all = |part: u32| part << 16 | part << 8 | part;
        match u32::from(index) {
            gray @ 232.. => all(8 + 10 * (gray - 232)),
            cube => {
                let step = |n: u32| if n == 0 { 0 } else { 55 + 40 * n };
                let cube = cube - 16;
                step(cube / 36) << 16 | step(cube / 6 % 6) << 8 | step(cube % 6)
            }
        }
    }

    /// Every colour is told from what is behind it: the terminal's paper, a bar, the selected row.
    #[test]
    fn colours_can_be_read_on_every_background() {
        let hues = [Hue::Green, Hue::Yellow, Hue::Red, Hue::Blue, Hue::Accent, Hue::Gray];
        for light in [false, true] {
            for (n, hue) in hues.into_iter().enumerate() {
                for (m, ground) in [Hue::Paper, Hue::Shade, Hue::Selection].into_iter().enumerate()
                {
                    let (hue, ground) = (hue.colors(light), ground.colors(light));
                    for (hue, ground) in [(hue.0, ground.0), (xterm(hue.1), xterm(ground.1))] {
                        let (a, b) = (luminance(hue), luminance(ground));
                        let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                        assert!(contrast >= 4.0, "{light} {n} on {m}: {contrast:.1}");
                    }
                }
            }
        }
    }
}
