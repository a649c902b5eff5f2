//! A cursor in a list, and the part of the list that is on screen.

/// A cursor: the selected index and the first one shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The selected index.
    pub at: usize,
    /// The first index on screen.
    pub top: usize,
}

impl Cursor {
    /// Moves by so many rows, within a list of `count`, of which `rows` are on screen.
    pub fn step(&mut self, by: isize, count: usize, rows: usize) {
        self.at = self.at.saturating_add_signed(by);
        self.settle(count, rows);
    }

    /// Goes to an index.
    pub fn go(&mut self, at: usize, count: usize, rows: usize) {
        self.at = at;
        self.settle(count, rows);
    }

    /// Brings cursor and window back into the list, and the window over the cursor.
    pub fn settle(&mut self, count: usize, rows: usize) {
        let rows = rows.max(1);
        self.at = self.at.min(count.saturating_sub(1));
        self.top = self.top.min(self.at).max((self.at + 1).saturating_sub(rows));
        self.top = self.top.min(count.saturating_sub(rows));
    }

    /// Moves the window by so many rows, and takes the cursor along at its edges.
    pub fn scroll(&mut self, by: isize, count: usize, rows: usize) {
        let rows = rows.max(1);
        self.top = self.top.saturating_add_signed(by).min(count.saturating_sub(rows));
        let last = (self.top + rows - 1).min(count.saturating_sub(1));
        self.at = self.at.clamp(self.top.min(last), last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_follows_the_cursor_and_stays_in_the_list() {
        let mut cursor = Cursor::default();
        cursor.step(7, 10, 5);
        assert_eq!(cursor, Cursor { at: 7, top: 3 });
        cursor.step(100, 10, 5);
        assert_eq!(cursor, Cursor { at: 9, top: 5 });
        cursor.step(-6, 10, 5);
        assert_eq!(cursor, Cursor { at: 3, top: 3 });
        cursor.scroll(2, 10, 5);
        assert_eq!(cursor, Cursor { at: 5, top: 5 });
        cursor.settle(2, 5);
        assert_eq!(cursor, Cursor { at: 1, top: 0 });
        cursor.settle(0, 5);
        assert_eq!(cursor, Cursor { at: 0, top: 0 });
    }
}
