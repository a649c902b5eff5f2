//! The columns of the container list: which there are, and which the user has chosen.

/// A column of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// The life-cycle state.
    #[default]
    State,
    /// What the probes say.
    Health,
    /// The engine that has it, where there are several.
    Host,
    /// The name.
    Name,
    /// The image.
    Image,
    /// Share of a CPU.
    Cpu,
    /// Memory and its limit.
    Memory,
    /// Network traffic.
    Network,
    /// Block device traffic.
    Disk,
    /// Tasks.
    Pids,
    /// Time since the start.
    Uptime,
    /// How often the restart policy has started it.
    Restarts,
    /// Published ports.
    Ports,
    /// The first address.
    Ip,
}

impl Column {
    /// All of them, in the order of the list.
    pub const ALL: [Self; 14] = [
        Self::State,
        Self::Health,
        Self::Host,
        Self::Name,
        Self::Image,
        Self::Cpu,
        Self::Memory,
        Self::Network,
        Self::Disk,
        Self::Pids,
        Self::Uptime,
        Self::Restarts,
        Self::Ports,
        Self::Ip,
    ];

    /// Returns the heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::State => "STATE",
            Self::Host => "HOST",
            Self::Name => "NAME",
            Self::Health => "HEALTH",
            Self::Cpu => "CPU",
            Self::Memory => "MEM/LIMIT",
            Self::Network => "NET/s",
            Self::Disk => "DISK/s",
            Self::Pids => "PIDS",
            Self::Uptime => "UP",
            Self::Restarts => "RESTARTS",
            Self::Image => "IMAGE",
            Self::Ports => "PORTS",
            Self::Ip => "IP",
        }
    }

    /// Returns its name in the config file.
    pub fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Host => "host",
            Self::Name => "name",
            Self::Health => "health",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Pids => "pids",
            Self::Uptime => "uptime",
            Self::Restarts => "restarts",
            Self::Image => "image",
            Self::Ports => "ports",
            Self::Ip => "ip",
        }
    }

    /// Returns the column of a name.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.word() == word)
    }

    /// Returns whether its greatest values are wanted on top.
    pub(crate) fn is_measured(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory | Self::Network | Self::Disk | Self::Pids)
    }
}

/// The choice of columns while it is made: every column, and whether it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnChoice {
    /// All of them in the wanted order.
    pub list: Vec<(Column, bool)>,
    /// Which is selected.
    pub at: usize,
    /// Those there are.
    all: Vec<Column>,
}

impl ColumnChoice {
    /// Returns the choice as it stands; without one, every column is wanted. That of the hosts is
    /// there only if there are `several`.
    pub fn new(chosen: Option<&[Column]>, several: bool) -> Self {
        let all = Column::ALL.into_iter().filter(|column| several || *column != Column::Host);
        let all: Vec<Column> = all.collect();
        let chosen: Vec<Column> = match chosen {
            Some(chosen) => chosen.iter().copied().filter(|one| all.contains(one)).collect(),
            None => all.clone(),
        };
        let others = all.iter().filter(|column| !chosen.contains(column));
        let list = chosen.iter().map(|column| (*column, true));
        Self { list: list.chain(others.map(|column| (*column, false))).collect(), at: 0, all }
    }

    /// Moves the selected column, or the selection alone.
    pub fn step(&mut self, by: isize, carry: bool) {
        let last = self.list.len().saturating_sub(1);
        let to = self.at.saturating_add_signed(by).min(last);
        if carry {
            self.list.swap(self.at, to);
        }
        self.at = to;
    }

    /// Wants the selected column, or doesn't any more; a list without names is none.
    pub fn toggle(&mut self) {
        if let Some((column, wanted)) = self.list.get_mut(self.at) {
            *wanted = !*wanted || *column == Column::Name;
        }
    }

    /// Returns the wanted columns; none if that is what is shown without a choice.
    pub fn chosen(&self) -> Option<Vec<Column>> {
        let wanted = self.list.iter().filter(|(_, wanted)| *wanted);
        let chosen: Vec<Column> = wanted.map(|(column, _)| *column).collect();
        (chosen != self.all).then_some(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_chosen_and_ordered_and_the_name_stays() {
        let mut choice = ColumnChoice::new(Some(&[Column::Name, Column::Cpu]), false);
        assert_eq!(choice.list.len(), Column::ALL.len() - 1);
        choice.toggle();
        choice.step(1, true);
        assert_eq!(choice.chosen(), Some(vec![Column::Cpu, Column::Name]));
        choice.step(1, false);
        choice.toggle();
        assert_eq!(choice.chosen(), Some(vec![Column::Cpu, Column::Name, Column::State]));
        assert_eq!(ColumnChoice::new(None, false).chosen(), None);
        assert_eq!(ColumnChoice::new(None, true).list.len(), Column::ALL.len());
        for column in Column::ALL {
            assert_eq!(Column::of(column.word()), Some(column));
        }
    }
}
