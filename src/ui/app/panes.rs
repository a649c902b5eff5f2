//! The panes beside a list: which tabs are in sight at once, and which of them gets the keys. Where
//! there is room for one only, it is that one.

use super::screens::Tab;

/// Most panes that make sense at once.
const MOST: usize = 4;

/// The tabs that are to be in sight, each in a pane. There is always one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panes {
    tabs: Vec<Tab>,
    at: usize,
}

impl Panes {
    /// Returns panes with these tabs, the first of which gets the keys; doubles are left out.
    pub fn new(tabs: &[Tab]) -> Self {
        let mut kept: Vec<Tab> = Vec::new();
        for tab in tabs {
            if !kept.contains(tab) && kept.len() < MOST {
                kept.push(*tab);
            }
        }
        if kept.is_empty() {
            kept.push(Tab::Details);
        }
        Self { tabs: kept, at: 0 }
    }

    /// Returns the tabs, in the order of their panes.
    pub fn tabs(&self) -> &[Tab] {
        &self.tabs
    }

    /// Returns which pane gets the keys.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Returns the tab of that pane.
    pub fn tab(&self) -> Tab {
        self.tabs.get(self.at).copied().unwrap_or(Tab::Details)
    }

    /// Returns those of the panes that are in sight where there is room for so many: as they are,
    /// the one with the keys among them.
    pub fn in_sight(&self, room: usize) -> std::ops::Range<usize> {
        let room = room.clamp(1, self.tabs.len());
        let from = (self.at + 1).saturating_sub(room);
        from..from + room
    }

    /// Gives the keys to the pane of a tab. A tab that has none takes the place of the one that had
    /// the keys.
    pub fn show(&mut self, tab: Tab) {
        match self.tabs.iter().position(|t| *t == tab) {
            Some(at) => self.at = at,
            None => self.tabs[self.at] = tab,
        }
    }

    /// Gives the keys to the pane so many further on; false where that leads out of them.
    pub fn step(&mut self, by: isize) -> bool {
        let to = self.at.checked_add_signed(by).filter(|to| *to < self.tabs.len());
        self.at = to.unwrap_or(self.at);
        to.is_some()
    }

    /// Gives the keys to the first pane, or to the last.
    pub fn enter(&mut self, from_end: bool) {
        self.at = if from_end { self.tabs.len() - 1 } else { 0 };
    }

    /// Adds a pane with the next of `all` tabs that has none; false if there are enough.
    pub fn split(&mut self, all: &[Tab]) -> bool {
        let at = all.iter().position(|tab| *tab == self.tab()).unwrap_or(0);
        let mut after = all.iter().cycle().skip(at).take(all.len());
        let next = after.find(|tab| !self.tabs.contains(tab)).copied();
        match next.filter(|_| self.tabs.len() < MOST) {
            Some(tab) => {
                self.at += 1;
                self.tabs.insert(self.at, tab);
                true
            }
            None => false,
        }
    }

    /// Takes away the pane that has the keys, unless it is the only one.
    pub fn close(&mut self) {
        if self.tabs.len() > 1 {
            self.tabs.remove(self.at);
            self.at = self.at.min(self.tabs.len() - 1);
        }
    }

    /// Exchanges the tab that has the keys for the next of `all` that has no pane.
    pub fn turn(&mut self, all: &[Tab], by: isize) {
        let count = all.len();
        let Some(mut at) = all.iter().position(|tab| *tab == self.tab()) else { return };
        for _ in 0..count {
            at = at.wrapping_add_signed(by).wrapping_add(count) % count;
            if !self.tabs.contains(&all[at]) {
                self.tabs[self.at] = all[at];
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Tab; 4] = [Tab::Stats, Tab::Logs, Tab::Inspect, Tab::Top];

    #[test]
    fn a_tab_in_sight_gets_the_keys_and_another_takes_a_pane() {
        let mut panes = Panes::new(&[Tab::Stats, Tab::Logs, Tab::Stats]);
        panes.show(Tab::Logs);
        assert_eq!((panes.at(), panes.tab()), (1, Tab::Logs));
        panes.show(Tab::Top);
        assert_eq!(panes.tabs(), [Tab::Stats, Tab::Top]);
        panes.turn(&ALL, 1);
        assert_eq!(panes.tabs(), [Tab::Stats, Tab::Logs], "those in sight are left out");
        panes.turn(&ALL, -1);
        assert_eq!(panes.tabs(), [Tab::Stats, Tab::Top]);
    }

    #[test]
    fn panes_come_and_go_and_one_stays() {
        let mut panes = Panes::new(&[Tab::Stats]);
        assert!(panes.split(&ALL) && panes.split(&ALL) && panes.split(&ALL));
        assert!(!panes.split(&ALL));
        assert_eq!(panes.tabs(), ALL);
        assert_eq!(panes.in_sight(2), 2..4);
        assert!(!panes.step(1) && panes.step(-3));
        assert_eq!(panes.in_sight(2), 0..2);
        for _ in 0..9 {
            panes.close();
        }
        assert_eq!(panes.tabs(), [Tab::Top]);
        assert_eq!(panes.in_sight(9), 0..1);
        assert_eq!(Panes::new(&[]).tab(), Tab::Details);
    }
}
