//! A line of text being typed.

use unicode_segmentation::UnicodeSegmentation;

/// A line of text with a cursor between its letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    text: String,
    /// A byte offset, always between letters.
    at: usize,
    /// Whether the user has changed it.
    edited: bool,
}

impl Input {
    /// Returns a line with this text, the cursor at its end.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { at: text.len(), text, edited: false }
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the text is the user's: even one that was emptied.
    pub fn is_edited(&self) -> bool {
        self.edited
    }

    /// Returns the text before the cursor.
    pub fn before(&self) -> &str {
        &self.text[..self.at]
    }

    /// Inserts a text at the cursor; control characters are left out.
    pub fn insert(&mut self, text: &str) {
        self.edited = true;
        for letter in text.chars().filter(|c| !c.is_control()) {
            self.text.insert(self.at, letter);
            self.at += letter.len_utf8();
        }
    }

    /// Deletes the letter before the cursor.
    pub fn backspace(&mut self) {
        self.edited = true;
        if let Some(letter) = self.before().graphemes(true).next_back() {
            let from = self.at - letter.len();
            self.text.replace_range(from..self.at, "");
            self.at = from;
        }
    }

    /// Deletes the letter after the cursor.
    pub fn delete(&mut self) {
        self.edited = true;
        if let Some(letter) = self.text[self.at..].graphemes(true).next() {
            let to = self.at + letter.len();
            self.text.replace_range(self.at..to, "");
        }
    }

    /// Deletes the word before the cursor.
    pub fn erase_word(&mut self) {
        self.edited = true;
        let kept = self.before().trim_end();
        let from = kept.rfind(' ').map_or(0, |n| n + 1);
        self.text.replace_range(from..self.at, "");
        self.at = from;
    }

    /// Deletes all before the cursor.
    pub fn erase_line(&mut self) {
        self.edited = true;
        self.text.replace_range(..self.at, "");
        self.at = 0;
    }

    /// Moves the cursor one letter to the left.
    pub fn left(&mut self) {
        let step = self.before().graphemes(true).next_back().map_or(0, str::len);
        self.at -= step;
    }

    /// Moves the cursor one letter to the right.
    pub fn right(&mut self) {
        let step = self.text[self.at..].graphemes(true).next().map_or(0, str::len);
        self.at += step;
    }

    /// Moves the cursor to the start.
    pub fn home(&mut self) {
        self.at = 0;
    }

    /// Moves the cursor to the end.
    pub fn end(&mut self) {
        self.at = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_whole() {
        let mut input = Input::new("shop ");
        input.insert("日e\u{301}\n");
        assert_eq!(input.text(), "shop 日e\u{301}");
        input.backspace();
        assert_eq!(input.text(), "shop 日");
        input.left();
        input.delete();
        input.insert("x y");
        input.erase_word();
        assert_eq!(input.text(), "shop x ");
        input.home();
        input.right();
        input.erase_line();
        assert_eq!(input.text(), "hop x ");
    }
}
