//! A container's bytes made safe to show.
//!
//! What a container writes may hold escape sequences that move the cursor, set the title, write to
//! the clipboard or reorder text. Nothing of that passes; colours and the like become [`Style`]s
//! beside the text. Sequences are recognised as ECMA-48 has them, in their 7-bit form and as the
//! C1 letters U+0080–U+009F.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// A colour as a container asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Color {
    /// One of the terminal's 256 colours; the first sixteen are the user's palette.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// How a piece of text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent attribute of a cell")]
pub struct Style {
    /// The letters' colour; none is the terminal's own.
    pub fg: Option<Color>,
    /// The background; none is the terminal's own.
    pub bg: Option<Color>,
    /// Bold.
    pub bold: bool,
    /// Dim.
    pub dim: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underline: bool,
    /// Foreground and background exchanged.
    pub reverse: bool,
}

/// A piece of text in one style, without any control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The text.
    pub text: String,
    /// Its style.
    pub style: Style,
}

/// Columns between tab stops.
const TAB: usize = 8;

/// More parameters than this in one sequence are passed over.
const MAX_PARAMS: usize = 32;

/// Makes lines safe, carrying the style from line to line as a terminal does.
#[derive(Clone, Debug, Default)]
pub struct Sanitizer {
    style: Style,
}

impl Sanitizer {
    /// Returns a sanitiser that begins with the terminal's own style.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the style that the next line begins with.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Returns a line's text in spans. Bytes that aren't UTF-8 become U+FFFD, tabs become spaces,
    /// and text after a carriage return replaces what was before it.
    pub fn line(&mut self, bytes: &[u8]) -> Vec<Span> {
        let mut line = SpanSink::default();
        self.feed(bytes, &mut line);
        line.spans
    }

    fn feed(&mut self, bytes: &[u8], line: &mut impl Sink) {
        let text = String::from_utf8_lossy(bytes);
        let mut rest = text.as_ref();
        // A carriage return came: what comes next begins anew.
        let mut returned = false;
        loop {
            let plain = hazard(rest).unwrap_or(rest.len());
            if plain > 0 {
                if std::mem::take(&mut returned) {
                    line.clear();
                }
                line.push(&rest[..plain], self.style);
                rest = &rest[plain..];
            }
            let Some(letter) = rest.chars().next() else { break };
            rest = &rest[letter.len_utf8()..];
            match letter {
                '\t' => {
                    if std::mem::take(&mut returned) {
                        line.clear();
                    }
                    let blanks = TAB - line.width() % TAB;
                    line.push(&"        "[..blanks], self.style);
                }
                '\r' => returned = true,
                '\u{8}' => line.backspace(),
                '\u{1b}' => rest = self.escape(rest),
                '\u{9b}' => rest = self.csi(rest),
                '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => rest = skip_string(rest),
                _ => {}
            }
        }
    }

    /// Reads what follows an ESC; returns what is after the sequence.
    fn escape<'a>(&mut self, rest: &'a str) -> &'a str {
        let mut letters = rest.chars();
        match letters.next() {
            Some('[') => self.csi(letters.as_str()),
            Some('P' | 'X' | ']' | '^' | '_') => skip_string(letters.as_str()),
            // Intermediates and a final byte (character sets and the like).
            Some(' '..='/') => {
                let tail = rest.trim_start_matches(|c| matches!(c, ' '..='/'));
                let mut tail_letters = tail.chars();
                match tail_letters.next() {
                    Some('0'..='~') => tail_letters.as_str(),
                    _ => tail,
                }
            }
            Some('0'..='~') => letters.as_str(),
            // A control character ends the sequence and counts for itself.
            _ => rest,
        }
    }

    /// Reads a control sequence after its introducer.
    fn csi<'a>(&mut self, rest: &'a str) -> &'a str {
        let end = rest.find(|c| !matches!(c, ' '..='?')).unwrap_or(rest.len());
        let (params, tail) = rest.split_at(end);
        let mut letters = tail.chars();
        match letters.next() {
            Some('m') => {
                if params.bytes().all(|b| matches!(b, b'0'..=b'9' | b';' | b':')) {
                    self.sgr(params);
                }
                letters.as_str()
            }
            Some('@'..='~') => letters.as_str(),
            _ => tail,
        }
    }

    /// Applies "select graphic rendition".
    fn sgr(&mut self, params: &str) {
        let mut items = params.split(';').take(MAX_PARAMS);
        while let Some(item) = items.next() {
            let mut parts = item.split(':');
            let code = number(parts.next().unwrap_or(""));
            let style = &mut self.style;
            match code {
                Some(0) => *style = Style::default(),
                Some(1) => style.bold = true,
                Some(2) => style.dim = true,
                Some(3) => style.italic = true,
                Some(4) => style.underline = parts.next() != Some("0"),
                Some(21) => style.underline = true,
                Some(7) => style.reverse = true,
                Some(22) => (style.bold, style.dim) = (false, false),
                Some(23) => style.italic = false,
                Some(24) => style.underline = false,
                Some(27) => style.reverse = false,
                Some(code @ 30..=37) => style.fg = Some(Color::Indexed(code - 30)),
                Some(code @ 40..=47) => style.bg = Some(Color::Indexed(code - 40)),
                Some(code @ 90..=97) => style.fg = Some(Color::Indexed(code - 82)),
                Some(code @ 100..=107) => style.bg = Some(Color::Indexed(code - 92)),
                Some(39) => style.fg = None,
                Some(49) => style.bg = None,
                Some(code @ (38 | 48)) => {
                    let color = if item.contains(':') {
                        let parts: Vec<&str> = parts.collect();
                        sub_color(&parts)
                    } else {
                        color(&mut items)
                    };
                    // What follows an unknown kind of colour can't be told apart from it.
                    if color.is_none() {
                        return;
                    }
                    *(if code == 38 { &mut style.fg } else { &mut style.bg }) = color;
                }
                _ => {}
            }
        }
    }
}

/// A missing number is 0.
fn number(text: &str) -> Option<u8> {
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

/// Reads `5;N` or `2;R;G;B`.
fn color<'a>(items: &mut impl Iterator<Item = &'a str>) -> Option<Color> {
    match number(items.next()?)? {
        5 => Some(Color::Indexed(number(items.next()?)?)),
        2 => {
            let mut part = || number(items.next()?);
            Some(Color::Rgb(part()?, part()?, part()?))
        }
        _ => None,
    }
}

/// Reads `5:N`, `2:R:G:B` or `2:SPACE:R:G:B` (ISO 8613-6).
fn sub_color(parts: &[&str]) -> Option<Color> {
    match parts {
        ["5", index, ..] => Some(Color::Indexed(number(index)?)),
        ["2", _, r, g, b, ..] | ["2", r, g, b] => {
            Some(Color::Rgb(number(r)?, number(g)?, number(b)?))
        }
        _ => None,
    }
}

/// Passes over a control string up to its terminator; without one, all of it.
fn skip_string(rest: &str) -> &str {
    let Some(end) = rest.find(['\u{7}', '\u{9c}', '\u{1b}']) else { return "" };
    let tail = &rest[end..];
    // A terminator ends it; any other ESC begins something new.
    ["\u{7}", "\u{9c}", "\u{1b}\\"].iter().find_map(|t| tail.strip_prefix(t)).unwrap_or(tail)
}

/// Where safe text goes.
trait Sink {
    fn push(&mut self, text: &str, style: Style);
    fn clear(&mut self);
    fn backspace(&mut self);
    /// Returns how many columns the text takes so far.
    fn width(&self) -> usize;
}

#[derive(Default)]
struct SpanSink {
    spans: Vec<Span>,
}

impl Sink for SpanSink {
    fn push(&mut self, text: &str, style: Style) {
        match self.spans.last_mut() {
            Some(last) if last.style == style => last.text.push_str(text),
            _ => self.spans.push(Span { text: text.to_owned(), style }),
        }
    }

    fn clear(&mut self) {
        self.spans.clear();
    }

    fn backspace(&mut self) {
        if let Some(last) = self.spans.last_mut() {
            last.text.pop();
            if last.text.is_empty() {
                self.spans.pop();
            }
        }
    }

    fn width(&self) -> usize {
        self.spans.iter().map(|span| columns(&span.text)).sum()
    }
}

impl Sink for String {
    fn push(&mut self, text: &str, _style: Style) {
        self.push_str(text);
    }

    fn clear(&mut self) {
        self.clear();
    }

    fn backspace(&mut self) {
        self.pop();
    }

    fn width(&self) -> usize {
        columns(self)
    }
}

fn columns(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Returns where the first hazardous letter is.
fn hazard(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        // Most text is ASCII that can be printed.
        at += bytes[at..].iter().position(|b| !matches!(b, b' '..=b'~'))?;
        let letter = text[at..].chars().next()?;
        if is_hazard(letter) {
            return Some(at);
        }
        at += letter.len_utf8();
    }
}

/// Letters that act on the terminal or on the order of the letters around them, or that can't be
/// seen at all.
fn is_hazard(letter: char) -> bool {
    matches!(letter, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}') || is_invisible(letter)
}

/// Bidirectional controls, line and paragraph separators, byte order marks, tag characters and
/// the like. Joiners and variation selectors stay: letters and emoji need them.
fn is_invisible(letter: char) -> bool {
    matches!(
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
    )
}

/// Returns a line's text as it is shown, without styles.
pub fn plain_text(bytes: &[u8]) -> Cow<'_, [u8]> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && hazard(text).is_none()
    {
        return Cow::Borrowed(bytes);
    }
    let mut text = String::with_capacity(bytes.len());
    Sanitizer::new().feed(bytes, &mut text);
    Cow::Owned(text.into_bytes())
}

/// Returns a name, label or the like as one safe line: control characters and hidden letters
/// become U+FFFD, so that nothing hides; escape sequences lose their effect but stay visible.
pub fn sanitize_line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hazard) {
        return Cow::Borrowed(text);
    }
    let safe = |c: char| match c {
        '\t' | '\n' => ' ',
        c if is_hazard(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    Cow::Owned(text.chars().map(safe).collect())
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
