//! The screens, and the tabs beside their lists.

/// A screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Screen {
    /// The containers.
    #[default]
    Containers,
    /// The images.
    Images,
    /// The volumes.
    Volumes,
    /// The networks.
    Networks,
    /// What happens.
    Events,
    /// The engine.
    System,
}

impl Screen {
    /// All screens, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Containers, Self::Images, Self::Volumes, Self::Networks, Self::Events, Self::System];

    /// Returns its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Containers => "Containers",
            Self::Images => "Images",
            Self::Volumes => "Volumes",
            Self::Networks => "Networks",
            Self::Events => "Events",
            Self::System => "System",
        }
    }

    /// Returns the tabs beside its list; none where the list has the whole screen.
    pub fn tabs(self) -> &'static [Tab] {
        match self {
            Self::Containers => &[
                Tab::Stats,
                Tab::Logs,
                Tab::Inspect,
                Tab::Health,
                Tab::Top,
                Tab::Files,
                Tab::Events,
            ],
            Self::Images => &[Tab::Layers, Tab::Files, Tab::Users, Tab::Inspect],
            Self::Volumes => &[Tab::Users, Tab::Files, Tab::Inspect],
            Self::Networks => &[Tab::Details, Tab::Inspect],
            Self::Events | Self::System => &[],
        }
    }

    /// Returns the tabs that it opens with; where there is room, all of them are in sight at once.
    pub fn opening(self) -> &'static [Tab] {
        match self {
            Self::Containers => &[Tab::Stats, Tab::Logs],
            Self::Images => &[Tab::Layers],
            Self::Volumes => &[Tab::Users],
            Self::Networks | Self::Events | Self::System => &[Tab::Details],
        }
    }

    /// Returns its place among the screens.
    pub(crate) fn number(self) -> usize {
        Self::ALL.iter().position(|screen| *screen == self).unwrap_or(0)
    }

    /// Returns the screen so many further on, the first after the last.
    #[must_use]
    pub fn after(self, by: isize) -> Self {
        let count = Self::ALL.len();
        let at = self.number().wrapping_add_signed(by).wrapping_add(count) % count;
        Self::ALL.get(at).copied().unwrap_or(self)
    }
}

/// What is shown of the selected object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    /// Charts.
    Stats,
    /// The log.
    Logs,
    /// The document.
    Inspect,
    /// What the probes say.
    Health,
    /// The processes.
    Top,
    /// The files of a container, of a volume, or of the layers of an image.
    Files,
    /// What happened to a container.
    Events,
    /// The steps of an image.
    Layers,
    /// The containers that have a volume, or were made from an image.
    Users,
    /// A network or a container on it, in words.
    Details,
    /// A terminal in a container.
    Shell,
}

impl Tab {
    /// Returns its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Stats => "Stats",
            Self::Logs => "Logs",
            Self::Inspect => "Inspect",
            Self::Health => "Health",
            Self::Top => "Top",
            Self::Files => "Files",
            Self::Events => "Events",
            Self::Layers => "Layers",
            Self::Users => "Users",
            Self::Details => "Details",
            Self::Shell => "Shell",
        }
    }

    /// The tabs of a container while a shell is open somewhere.
    pub(crate) const WITH_SHELL: &[Self] = &[
        Self::Stats,
        Self::Logs,
        Self::Inspect,
        Self::Health,
        Self::Top,
        Self::Files,
        Self::Events,
        Self::Shell,
    ];
}
