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
        if self.look.colors == Colors::Ansi16 {
            return self.sixteen(role);
        }
        let plain = Style::new();
        match role {
            Role::Text => plain,
            Role::Dim => self.dim(),
            Role::Title => plain.add_modifier(Modifier::BOLD),
            Role::Bar => self.bar(),
            Role::Chosen => match self.look.colors {
                Colors::None => plain.add_modifier(Modifier::REVERSED),
                _ => plain.fg(self.fg(Hue::Paper)).bg(self.fg(Hue::Accent)),
            }
            .add_modifier(Modifier::BOLD),
            Role::Selected => match self.look.colors {
                Colors::None => plain.add_modifier(Modifier::REVERSED),
                _ => plain.bg(self.fg(Hue::Selection)).add_modifier(Modifier::BOLD),
            },
            Role::Resting => match self.look.colors {
                Colors::None => plain.add_modifier(Modifier::UNDERLINED),
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

    /// What sixteen colours look like is up to the terminal. On a light background, and where nobody knows
    /// what the background is, the few are used that any usual palette shows on both; what they can't tell,
    /// attributes do.
    fn sixteen(self, role: Role) -> Style {
        let plain = Style::new();
        let of = |dark: Color, light: Option<Color>| Style {
            fg: if self.look.light { light } else { Some(dark) },
            ..plain
        };
        let red = of(Color::LightRed, Some(Color::Red));
        match role {
            Role::Text => plain,
            Role::Dim => of(Color::Gray, None),
            Role::Title => plain.add_modifier(Modifier::BOLD),
            Role::Bar => plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            Role::Chosen => plain.add_modifier(Modifier::REVERSED | Modifier::BOLD),
            Role::Selected => plain.add_modifier(Modifier::REVERSED),
            Role::Resting => plain.add_modifier(Modifier::UNDERLINED),
            Role::Good => of(Color::Green, None),
            Role::Warn => of(Color::Yellow, Some(Color::Magenta)),
            Role::Bad => red.add_modifier(Modifier::BOLD),
            Role::Info | Role::First => of(Color::LightBlue, None),
            Role::Key => of(Color::Cyan, None).add_modifier(Modifier::BOLD),
            Role::Second => of(Color::Cyan, Some(Color::Magenta)),
            Role::Match => plain.fg(Color::Black).bg(Color::Yellow),
            Role::Limit => red,
        }
    }

    /// Returns the style of one of several things that are told apart by it.
    pub fn source(self, number: usize) -> Style {
        const HUES: [Hue; 5] = [Hue::Blue, Hue::Yellow, Hue::Accent, Hue::Green, Hue::Red];
        const ROLES: [Role; 5] = [Role::First, Role::Warn, Role::Second, Role::Good, Role::Limit];
        // Those that sixteen colours have on any background.
        const FEW: [Role; 3] = [Role::First, Role::Warn, Role::Limit];
        let styles: Vec<Style> = match (self.look.colors, self.look.light) {
            (Colors::Ansi16, true) => FEW.map(|role| self.style(role)).to_vec(),
            (Colors::Ansi16, false) => ROLES.map(|role| self.style(role)).to_vec(),
            _ => HUES.map(|hue| self.hue(hue)).to_vec(),
        };
        let style = styles.get(number % styles.len()).copied().unwrap_or_default();
        match number / styles.len() % 2 {
            0 => style,
            _ => style.add_modifier(Modifier::BOLD),
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
            Colors::None => Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            _ => Style::new().bg(self.fg(Hue::Shade)).add_modifier(Modifier::BOLD),
        }
    }

    fn fg(self, hue: Hue) -> Color {
        let (rgb, indexed) = hue.colors(self.look.light);
        match self.look.colors {
            Colors::True => Color::from_u32(rgb),
            Colors::Ansi256 => Color::Indexed(indexed),
            Colors::Ansi16 | Colors::None => Color::Reset,
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
    /// Returns the colour for terminals of all and of 256 colours.
    fn colors(self, light: bool) -> (u32, u8) {
        match (self, light) {
            (Self::Green, false) => (0x7e_c7_7e, 114),
            (Self::Green, true) => (0x22_6a_22, 22),
            (Self::Yellow, false) => (0xe0_b0_50, 179),
            (Self::Yellow, true) => (0x7f_56_00, 94),
            (Self::Red, false) => (0xf0_7a_7a, 210),
            (Self::Red, true) => (0xb0_20_20, 124),
            (Self::Blue, false) => (0x6a_a8_e8, 75),
            (Self::Blue, true) => (0x20_60_b0, 25),
            (Self::Accent, false) => (0x56_b6_c2, 73),
            (Self::Accent, true) => (0x00_60_70, 23),
            (Self::Gray, false) => (0x9a_a3_ae, 248),
            (Self::Gray, true) => (0x56_5d_6a, 240),
            (Self::Selection, false) => (0x24_38_4f, 18),
            (Self::Selection, true) => (0xcf_e0_f5, 189),
            (Self::Shade, false) => (0x24_29_31, 236),
            (Self::Shade, true) => (0xe4_e7_ec, 254),
            (Self::Paper, false) => (0x10_14_1a, 233),
            (Self::Paper, true) => (0xff_ff_ff, 231),
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

    const ROLES: [Role; 16] = [
        Role::Text,
        Role::Dim,
        Role::Title,
        Role::Bar,
        Role::Chosen,
        Role::Selected,
        Role::Resting,
        Role::Good,
        Role::Warn,
        Role::Bad,
        Role::Info,
        Role::Key,
        Role::Match,
        Role::First,
        Role::Second,
        Role::Limit,
    ];

    /// The sixteen colours of xterm, of the Linux console (VGA), and of Solarized.
    const XTERM: [u32; 16] = [
        0x00_00_00, 0xcd_00_00, 0x00_cd_00, 0xcd_cd_00, 0x00_00_ee, 0xcd_00_cd, 0x00_cd_cd,
        0xe5_e5_e5, 0x7f_7f_7f, 0xff_00_00, 0x00_ff_00, 0xff_ff_00, 0x5c_5c_ff, 0xff_00_ff,
        0x00_ff_ff, 0xff_ff_ff,
    ];
    const CONSOLE: [u32; 16] = [
        0x00_00_00, 0xaa_00_00, 0x00_aa_00, 0xaa_55_00, 0x00_00_aa, 0xaa_00_aa, 0x00_aa_aa,
        0xaa_aa_aa, 0x55_55_55, 0xff_55_55, 0x55_ff_55, 0xff_ff_55, 0x55_55_ff, 0xff_55_ff,
        0x55_ff_ff, 0xff_ff_ff,
    ];
    const SOLARIZED: [u32; 16] = [
        0x07_36_42,
        0xdc_32_2f,
        0x85_99_00,
        0xb5_89_00,
        0x26_8b_d2,
        0xd3_36_82,
        0x2a_a1_98,
        0xee_e8_d5,
        0x00_2b_36,
        0x00cb_4b16,
        0x58_6e_75,
        0x65_7b_83,
        0x83_94_96,
        0x6c_71_c4,
        0x93_a1_a1,
        0xfd_f6_e3,
    ];

    fn of_sixteen(palette: [u32; 16], color: Color) -> u32 {
        let Some(place) = crate::terminal::named(color) else {
            panic!("{color:?} isn't one of the sixteen");
        };
        palette[usize::from(place)]
    }

    /// With sixteen colours, of which only their names are known, every text can be read in the usual
    /// palettes: three to one, as WCAG has it for what is bold or a part of a control, which the text of
    /// Solarized itself isn't much above. What is for light backgrounds is for unknown ones, too.
    #[test]
    fn sixteen_colours_can_be_read_in_every_palette() {
        let (black, white, bright) = (0x00_00_00, 0xff_ff_ff, 0xe5_e5_e5);
        for (name, palette, light, text, paper) in [
            ("xterm", XTERM, true, black, white),
            ("console", CONSOLE, true, black, white),
            ("solarized", SOLARIZED, true, 0x65_7b_83, 0xfd_f6_e3),
            ("xterm, unknown", XTERM, true, bright, black),
            ("solarized, unknown", SOLARIZED, true, 0x83_94_96, 0x00_2b_36),
            ("xterm", XTERM, false, bright, black),
            ("console", CONSOLE, false, 0xaa_aa_aa, black),
            ("solarized", SOLARIZED, false, 0x83_94_96, 0x00_2b_36),
        ] {
            let theme = Theme::new(Look { colors: Colors::Ansi16, unicode: true, light });
            let roles = ROLES.map(|role| (format!("{role:?}"), theme.style(role)));
            let sources = (0..12).map(|n| (format!("source {n}"), theme.source(n)));
            for (what, style) in roles.into_iter().chain(sources) {
                let color = |color: Option<Color>, else_: u32| {
                    color.map_or(else_, |color| of_sixteen(palette, color))
                };
                let (a, b) = (luminance(color(style.fg, text)), luminance(color(style.bg, paper)));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= 3.0, "{what} in {name}, light {light}: {contrast:.1}");
                assert!(!style.add_modifier.contains(Modifier::DIM), "{what}");
            }
        }
    }

    /// What is worth a look is told from what is well, whatever the terminal has.
    #[test]
    fn what_has_to_be_told_apart_is() {
        for (colors, light) in [
            (Colors::True, true),
            (Colors::True, false),
            (Colors::Ansi256, true),
            (Colors::Ansi16, true),
            (Colors::Ansi16, false),
        ] {
            let theme = Theme::new(Look { colors, unicode: true, light });
            let styles = [Role::Good, Role::Warn, Role::Bad].map(|role| theme.style(role));
            assert!(styles[0] != styles[1] && styles[1] != styles[2] && styles[0] != styles[2]);
            let sources: Vec<Style> = (0..6).map(|n| theme.source(n)).collect();
            for (n, source) in sources.iter().enumerate() {
                assert!(!sources[..n].contains(source), "{colors:?} {light} {n}");
            }
        }
    }
}
