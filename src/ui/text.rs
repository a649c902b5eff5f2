//! Widths: cutting and wrapping text by what a terminal shows, not by letters.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Returns how many cells a text takes.
pub(crate) fn width(text: &str) -> usize {
    // Most of what a screen shows is that, and most of what isn't shown, too.
    match text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => text.len(),
        false => text.width(),
    }
}

/// Returns the text, or its beginning and `ellipsis` if it is wider than `cells`.
pub(crate) fn fit<'a>(text: &'a str, cells: usize, ellipsis: &str) -> Cow<'a, str> {
    if text.len() <= cells && text.is_ascii() || text.width() <= cells {
        return Cow::Borrowed(text);
    }
    let Some(room) = cells.checked_sub(ellipsis.width()) else {
        return Cow::Borrowed("");
    };
    let mut out = String::with_capacity(cells + 8);
    out.push_str(head(text, room));
    out.push_str(ellipsis);
    Cow::Owned(out)
}

/// Returns the text, or its beginning and its end around `ellipsis` if it is wider than `cells`: of a
/// name with a tag, both say something.
pub(crate) fn fit_middle<'a>(text: &'a str, cells: usize, ellipsis: &str) -> Cow<'a, str> {
    let Some(room) = cells.checked_sub(ellipsis.width() + 8).map(|room| room + 8) else {
        return fit(text, cells, ellipsis);
    };
    if text.width() <= cells {
        return Cow::Borrowed(text);
    }
    let first = head(text, room / 3);
    let mut rest = &text[first.len()..];
    while rest.width() > room - first.width() {
        let step = rest.graphemes(true).next().map_or(rest.len(), str::len);
        rest = &rest[step..];
    }
    Cow::Owned(format!("{first}{ellipsis}{rest}"))
}

/// Returns the longest beginning that takes at most `cells`.
pub(crate) fn head(text: &str, cells: usize) -> &str {
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        used += cluster.width();
        if used > cells {
            return &text[..at];
        }
    }
    text
}

/// Breaks a text at blanks into lines of at most `cells`; words that are wider are cut.
pub(crate) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let gap = usize::from(!line.is_empty());
            if line.width() + gap + word.width() <= cells {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(word);
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            let mut rest = word;
            while rest.width() > cells {
                let part = head(rest, cells);
                if part.is_empty() {
                    break;
                }
                lines.push(part.to_owned());
                rest = &rest[part.len()..];
            }
            line.push_str(rest);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_width() {
        assert_eq!(fit("harbour", 7, "…"), "harbour");
        assert_eq!(fit("harbours", 7, "…"), "harbou…");
        assert_eq!(fit("日本語", 5, "…"), "日本…");
        assert_eq!(fit("日本語", 4, "…"), "日…");
        assert_eq!(fit("ab", 0, "…"), "");
        assert_eq!(fit_middle("registry.example.com/shop:2", 16, "…"), "regis…com/shop:2");
        assert_eq!(fit_middle("abcdefgh", 4, "…"), "abc…");
    }

    #[test]
    fn text_is_wrapped_at_blanks() {
        assert_eq!(wrap("no such image: x", 8), ["no such", "image: x"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("a\nb", 9), ["a", "b"]);
    }
}
