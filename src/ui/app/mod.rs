//! All that the dashboard knows. [`update()`](crate::update()) is the only one that changes it.

mod can;
pub mod charts;
mod columns;
mod command_line;
mod containers;
mod dialog;
mod edits;
mod events;
pub mod files;
pub mod health;
pub mod hosts;
mod images;
mod input;
mod inspect;
mod list;
mod logs;
mod metrics;
mod networks;
mod panes;
pub mod run_form;
mod saved;
mod screens;
mod since;
mod system;
pub mod terminals;
pub mod topology;
pub mod transfers;
pub mod travel;
pub mod volumes;

use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use wharf_model::{Command, ContainerId, TopTable};

use crate::keymap::{Context, Keymap};
use crate::options::Options;
use crate::theme::Theme;
use hosts::Hosts;
use topology::Node;
use transfers::Transfer;

pub use charts::{Asked, Chart, Charts};
pub use columns::{Column, ColumnChoice};
pub use command_line::Deed;
pub(crate) use command_line::{
    cpus_of, deed, line_here, line_of_look, line_of_prompt, lines as command_lines, memory_word,
    policy_word,
};
pub use containers::{Chosen, Containers, Entry, Group, Row};
pub use dialog::{
    Choice, Confirm, Consent, Goal, Item, Menu, Overlay, Page, Palette, Prompt, PromptFor,
};
pub use edits::Object;
pub use events::{EventLog, EventRow};
pub use images::{ImageColumn, ImageRow, Images, LayerRow};
pub use input::Input;
pub use inspect::{Compared, TreePane};
pub use list::Cursor;
pub(crate) use logs::BATCH;
pub use logs::{LogOrigin, LogPane, Period, instant};
pub use metrics::{Metrics, Past, Reading, Then, Window};
pub use networks::Networks;
pub use panes::Panes;
pub use saved::Saved;
pub use screens::{Screen, Tab};
pub use system::{Kind, System};
pub use volumes::{VolumeColumn, VolumeRow, Volumes};

/// Who gets the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The list.
    List,
    /// The tab.
    Detail,
}

/// How list and tab share the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zoom {
    /// The list alone.
    List,
    /// Both.
    Split,
    /// The tab alone.
    Detail,
}

/// How soon the screen has to be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Redraw {
    /// Nothing has changed.
    No,
    /// Numbers have changed: when the byte budget allows.
    Soon,
    /// Something moves: a few times a second.
    Lively,
    /// A program has written: at once, or a few times a second once the byte budget is used up.
    Quick,
    /// The user waits for it.
    Now,
}

/// The line of a filter or a search while it is typed.
#[derive(Clone, Debug)]
pub struct LineEdit {
    /// What is typed.
    pub input: Input,
    /// What was there before.
    pub before: String,
    /// What it is for.
    pub purpose: LineFor,
}

/// What a typed line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFor {
    /// The filter of the list.
    Filter,
    /// A search in the log.
    LogSearch,
    /// A search in the document.
    TreeSearch,
}

/// The connection to the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// No answer yet.
    Connecting,
    /// It answers.
    Up,
    /// It doesn't, for this reason.
    Lost(String),
    /// The user doesn't want it.
    Off,
}

/// A line for the footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it says.
    pub text: String,
    /// Whether it tells of a failure.
    pub is_error: bool,
    /// Whether the next key ends it: it answers a key, and not what was begun before, or is a failure.
    pub of_key: bool,
    /// When it appeared.
    pub at: DateTime<Utc>,
}

/// A failure that can be read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// When.
    pub at: DateTime<Utc>,
    /// What was to be done: `stop web-1`.
    pub what: String,
    /// The engine's sentence.
    pub text: String,
}

/// What a command changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A container.
    Container(ContainerId),
    /// An image, by name or id.
    Image(String),
    /// A network by its id; empty for one that is being made, or for several.
    Network(String),
    /// A volume by its name; empty for one that is being made, or for several.
    Volume(String),
    /// Something that the engine doesn't know of.
    Other,
}

/// A command that hasn't ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What it changes.
    pub on: Target,
    /// What happens to it: `stopping`.
    pub doing: &'static str,
    /// What was asked: `stop web-1`.
    pub what: String,
    /// Whether it can be taken back.
    pub undoable: bool,
}

/// A change that can be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// What was done: `remove web-1`.
    pub what: String,
    /// What takes it back.
    pub pending: Pending,
    /// The same, for the engine.
    pub command: Command,
    /// Until when.
    pub until: DateTime<Utc>,
    /// The number of the command that did it.
    pub by: u64,
    /// The number of the first command that was given with it: what is done at once is taken back at once.
    pub together: u64,
}

/// The processes of a container.
#[derive(Clone, Debug, Default)]
pub struct TopPane {
    /// Whose.
    pub id: Option<ContainerId>,
    /// The table, made safe, or why there is none.
    pub table: Option<Result<TopTable, String>>,
    /// The selected process.
    pub cursor: Cursor,
    /// Whether an answer is awaited.
    pub waiting: bool,
    /// When it was last asked for.
    pub asked: DateTime<Utc>,
}

/// For how long after the start engines are waited for.
const SETTLES: TimeDelta = TimeDelta::seconds(5);

/// How many past failures are kept.
const PROBLEMS: usize = 50;

/// All that the dashboard knows.
#[derive(Debug)]
pub struct App {
    /// What the caller chose.
    pub options: Options,
    /// The keys in force.
    pub keymap: Keymap,
    /// Colours and letters.
    pub theme: Theme,
    /// The terminal: columns, rows.
    pub size: (u16, u16),
    /// The time as of the last tick.
    pub now: DateTime<Utc>,
    /// When the dashboard was opened.
    pub began: DateTime<Utc>,
    /// Ticks so far, for things that turn.
    pub turn: usize,
    /// What is shown.
    pub screen: Screen,
    /// Who gets the keys.
    pub focus: Focus,
    /// How the room is shared.
    pub zoom: Zoom,
    /// What is in sight beside the list of each screen, in the order of the screens.
    pub panes: [Panes; 6],
    /// The engines.
    pub hosts: Hosts,
    /// The container screen.
    pub containers: Containers,
    /// The columns of its list that the user wants; none means as many as fit.
    pub columns: Option<Vec<Column>>,
    /// The image screen.
    pub images: Images,
    /// The volume screen.
    pub volumes: Volumes,
    /// The files of the selected container.
    pub container_files: files::FilePane,
    /// The network screen.
    pub networks: Networks,
    /// The event screen.
    pub events: EventLog,
    /// The system screen.
    pub system: System,
    /// The line of the network's details that is the first in sight.
    pub details_top: usize,
    /// Measured values.
    pub metrics: Metrics,
    /// The health tab.
    pub health: health::HealthPane,
    /// What of the charts is shown.
    pub charts: Charts,
    /// The look at the past, while there is one.
    pub travel: Option<Box<travel::Travel>>,
    /// Until when the selection follows the top of the list: engines answer one after the other, and
    /// nobody has pressed a key yet.
    pub settling: Option<DateTime<Utc>>,
    /// Whether the selection has stood still since the last tick.
    pub rested: bool,
    /// What was selected at the last tick.
    pub at_tick: Option<Chosen>,
    /// The log tab.
    pub logs: LogPane,
    /// The inspect tab of both screens.
    pub inspect: TreePane,
    /// The process tab.
    pub top: TopPane,
    /// Shells in containers, and containers that are attached to.
    pub terminals: terminals::Terminals,
    /// Images on their way, the oldest first.
    pub transfers: Vec<Transfer>,
    /// Dialogs, the topmost last.
    pub overlays: Vec<Overlay>,
    /// The line being typed.
    pub line: Option<LineEdit>,
    /// What the footer says.
    pub notice: Option<Notice>,
    /// Past failures, newest last.
    pub problems: VecDeque<Problem>,
    /// Commands that haven't ended.
    pub pending: BTreeMap<u64, Pending>,
    /// The command lines of those, by their numbers.
    pub lines: BTreeMap<u64, String>,
    /// The command line of the last change that was asked for.
    pub last_line: Option<String>,
    /// What can be taken back, the newest last.
    pub undo: Vec<Undo>,
    /// The number of the next command or log.
    pub next_number: u64,
    /// Whether the mouse is ours.
    pub mouse: bool,
    /// Whether an image list was asked for and hasn't come, and whether it is already stale.
    pub image_listing: Fetch,
    /// When to ask for the containers once more.
    pub look_again: Option<DateTime<Utc>>,
    /// How soon to draw.
    pub redraw: Redraw,
}

/// A question whose answer may be out of date before it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fetch {
    /// Not asked.
    #[default]
    Idle,
    /// Asked.
    Asked,
    /// Asked, and things have changed since: ask again.
    Stale,
}

/// A list that is asked for only while it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lazy {
    stale: bool,
    asked: bool,
}

impl Default for Lazy {
    fn default() -> Self {
        Self { stale: true, asked: false }
    }
}

impl Lazy {
    /// Notes that what is known may be out of date.
    pub fn mark(&mut self) {
        self.stale = true;
    }

    /// Returns whether to ask now, for a list that is seen.
    pub fn due(&mut self) -> bool {
        let due = self.stale && !self.asked;
        if due {
            *self = Self { stale: false, asked: true };
        }
        due
    }

    /// Notes an answer.
    pub fn answered(&mut self) {
        self.asked = false;
    }

    /// Returns whether all that was asked for has been answered.
    pub fn is_idle(&self) -> bool {
        !self.stale && !self.asked
    }
}

impl Fetch {
    /// Notes that a fresh answer is wanted; returns whether to ask now.
    pub fn want(&mut self) -> bool {
        let ask = *self == Self::Idle;
        *self = if ask { Self::Asked } else { Self::Stale };
        ask
    }

    /// Notes an answer; returns whether to ask again.
    pub fn answered(&mut self) -> bool {
        let again = *self == Self::Stale;
        *self = if again { Self::Asked } else { Self::Idle };
        again
    }
}

impl App {
    /// Returns the dashboard as it is before anything is known.
    pub fn new(options: Options, size: (u16, u16), now: DateTime<Utc>) -> Self {
        Self {
            keymap: Keymap::new(options.read_only, &options.config),
            theme: Theme::new(options.look),
            size,
            now,
            began: now,
            turn: 0,
            screen: options.screen,
            focus: Focus::List,
            zoom: Zoom::Split,
            panes: Screen::ALL.map(|screen| Panes::new(screen.opening())),
            hosts: Hosts::new(options.hosts.clone()),
            containers: Containers {
                grouped: options.config.group.unwrap_or(true),
                ..Containers::default()
            },
            columns: options.config.columns.clone(),
            images: Images::default(),
            volumes: Volumes::default(),
            container_files: files::FilePane::default(),
            networks: Networks::default(),
            events: EventLog::default(),
            system: System {
                hosts: if options.hosts.len() > 1 { options.hosts.len() } else { 0 },
                ..System::default()
            },
            details_top: 0,
            metrics: Metrics::new(),
            health: health::HealthPane::default(),
            charts: Charts::default(),
            travel: None,
            settling: Some(now + SETTLES),
            rested: false,
            at_tick: None,
            logs: LogPane::default(),
            inspect: TreePane::default(),
            top: TopPane::default(),
            terminals: terminals::Terminals::default(),
            transfers: Vec::new(),
            overlays: Vec::new(),
            line: None,
            notice: None,
            problems: VecDeque::new(),
            pending: BTreeMap::new(),
            lines: BTreeMap::new(),
            last_line: None,
            undo: Vec::new(),
            next_number: 1,
            mouse: options.mouse,
            image_listing: Fetch::Idle,
            look_again: None,
            redraw: Redraw::Now,
            options,
        }
    }

    /// Returns the time that what is shown is true of.
    pub fn as_of(&self) -> DateTime<Utc> {
        self.as_of_host(self.here())
    }

    /// Returns what is in sight beside the list of this screen.
    pub fn panes(&self) -> &Panes {
        &self.panes[self.screen.number()]
    }

    /// The same, to change it.
    pub fn panes_mut(&mut self) -> &mut Panes {
        &mut self.panes[self.screen.number()]
    }

    /// Returns the tab of this screen that gets the keys when they aren't the list's.
    pub fn tab(&self) -> Tab {
        self.panes().tab()
    }

    /// Returns the tabs of this screen; that of the shells is there while one is open.
    pub fn tabs(&self) -> &'static [Tab] {
        match self.screen {
            Screen::Containers if !self.terminals.list.is_empty() => Tab::WITH_SHELL,
            screen => screen.tabs(),
        }
    }

    /// Returns the terminal that has the keys, if one has.
    pub fn typed_to(&self) -> Option<&terminals::Terminal> {
        let here = self.screen == Screen::Containers && self.focus == Focus::Detail;
        let row = self.selected().filter(|_| here && self.tab() == Tab::Shell)?;
        self.terminals.of(&row.summary.id).filter(|terminal| terminal.is_alive())
    }

    /// The same, to change it.
    pub fn typed_to_mut(&mut self) -> Option<&mut terminals::Terminal> {
        let number = self.typed_to()?.number;
        self.terminals.get_mut(number)
    }

    /// Sets the tab of this screen.
    pub fn set_tab(&mut self, tab: Tab) {
        if self.tabs().contains(&tab) {
            self.panes_mut().show(tab);
        }
    }

    /// Returns the contexts in force, the first of which that knows a key has it.
    pub fn contexts(&self) -> &'static [Context] {
        use Context as C;
        if self.line.is_some() {
            return &[C::Line, C::Always];
        }
        match self.overlays.last() {
            Some(Overlay::Menu(_)) => return &[C::Menu, C::Always],
            Some(Overlay::Confirm(_)) => return &[C::Confirm, C::Always],
            Some(Overlay::Prompt(_)) => return &[C::Prompt, C::Always],
            Some(Overlay::Palette(_)) => return &[C::Palette, C::Always],
            Some(Overlay::Transfer { .. }) => return &[C::Transfer, C::Always],
            Some(Overlay::Run(_)) => return &[C::Form, C::Always],
            Some(Overlay::Columns(_)) => return &[C::Columns, C::Always],
            Some(Overlay::Help { .. } | Overlay::Errors { .. } | Overlay::Page(_)) => {
                return &[C::Reader, C::Always];
            }
            None => {}
        }
        // The first key after the one that is the dashboard's is, too; all others are the program's.
        match self.typed_to() {
            Some(_) if self.terminals.prefix => &[C::ShellKeys],
            Some(_) => &[C::Shell],
            None => self.main_contexts(),
        }
    }

    /// Returns the contexts below all dialogs: those that the help and the palette are about.
    pub fn main_contexts(&self) -> &'static [Context] {
        use Context as C;
        if self.typed_to().is_some() {
            return &[C::Shell, C::ShellKeys];
        }
        match (self.screen, self.focus, self.tab()) {
            (Screen::Containers, Focus::List, _) => &[C::Containers, C::Move, C::Global, C::Always],
            (Screen::Images, Focus::List, _) => &[C::Images, C::Move, C::Global, C::Always],
            (Screen::Volumes, Focus::List, _) => &[C::Volumes, C::Move, C::Global, C::Always],
            (Screen::Networks, Focus::List, _) => &[C::Networks, C::Move, C::Global, C::Always],
            (Screen::Events, ..) => &[C::Events, C::Move, C::Global, C::Always],
            (Screen::System, ..) => &[C::System, C::Move, C::Global, C::Always],
            (Screen::Images, Focus::Detail, Tab::Files) => {
                &[C::Files, C::Images, C::Move, C::Global, C::Always]
            }
            (Screen::Volumes, Focus::Detail, Tab::Files) => {
                &[C::Files, C::Volumes, C::Move, C::Global, C::Always]
            }
            (Screen::Containers, Focus::Detail, Tab::Files) => {
                &[C::Files, C::ContainerFiles, C::Tabs, C::Move, C::Global, C::Always]
            }
            (_, Focus::Detail, Tab::Logs) => {
                &[C::Logs, C::Detail, C::Tabs, C::Move, C::Global, C::Always]
            }
            (Screen::Containers, Focus::Detail, Tab::Inspect) => {
                &[C::Inspect, C::Detail, C::Tabs, C::Move, C::Global, C::Always]
            }
            (_, Focus::Detail, Tab::Inspect) => {
                &[C::Inspect, C::Detail, C::Move, C::Global, C::Always]
            }
            (Screen::Containers, Focus::Detail, Tab::Stats) => {
                &[C::Charts, C::Detail, C::Containers, C::Move, C::Global, C::Always]
            }
            (Screen::Containers, Focus::Detail, _) => {
                &[C::Detail, C::Containers, C::Move, C::Global, C::Always]
            }
            (Screen::Images, Focus::Detail, _) => {
                &[C::Detail, C::Images, C::Move, C::Global, C::Always]
            }
            (Screen::Volumes, Focus::Detail, _) => {
                &[C::Detail, C::Volumes, C::Move, C::Global, C::Always]
            }
            (Screen::Networks, Focus::Detail, _) => {
                &[C::Detail, C::Networks, C::Move, C::Global, C::Always]
            }
        }
    }

    /// Returns what the list of this screen is filtered by.
    pub fn filter(&self) -> &str {
        match self.screen {
            Screen::Containers => &self.containers.filter,
            Screen::Images => &self.images.filter,
            Screen::Volumes => &self.volumes.filter,
            Screen::Networks => &self.networks.filter,
            Screen::Events => &self.events.filter,
            Screen::System => "",
        }
    }

    /// Sets what the list of this screen is filtered by.
    pub fn set_filter(&mut self, filter: String) {
        let place = match self.screen {
            Screen::Containers => &mut self.containers.filter,
            Screen::Images => &mut self.images.filter,
            Screen::Volumes => &mut self.volumes.filter,
            Screen::Networks => &mut self.networks.filter,
            Screen::Events => &mut self.events.filter,
            // Nothing of it can be filtered.
            Screen::System => return,
        };
        *place = filter;
    }

    /// Returns whether a transfer is looked at that has ended.
    pub fn transfer_has_ended(&self) -> bool {
        match self.overlays.last() {
            Some(Overlay::Transfer { operation, .. }) => {
                let ended = |t: &Transfer| t.operation == *operation && t.end.is_some();
                self.transfers.iter().any(ended)
            }
            _ => false,
        }
    }

    /// Returns how much is marked on this screen.
    pub fn marked(&self) -> usize {
        match self.screen {
            Screen::Containers => self.containers.marked.len(),
            Screen::Images => self.images.marked.len(),
            Screen::Volumes | Screen::Networks | Screen::Events | Screen::System => 0,
        }
    }

    /// Returns what people call what is selected on this screen.
    pub fn about(&self) -> Option<String> {
        let topology = &self.networks.topology;
        match self.screen {
            Screen::Containers => match self.containers.group() {
                Some(group) => Some(format!("group {}", group.name)),
                None => self.selected().map(|row| self.called(row)),
            },
            Screen::Images => self.images.selected().map(ImageRow::label),
            Screen::Volumes => self.volumes.selected().map(|row| row.label.clone()),
            Screen::Events => self.events.selected().map(EventRow::about),
            Screen::System => Some(match self.host_row() {
                Some(host) => format!("host {}", self.hosts.get(host).name()),
                None => "the engine".to_owned(),
            }),
            Screen::Networks => match self.networks.selected.as_ref()? {
                Node::Bus(key) => topology.bus(key).map(|(_, bus)| bus.name.clone()),
                Node::Station(id) => topology.station(id).map(|(_, s)| s.name.clone()),
                Node::Edge(id, key) => {
                    let (station, bus) = (topology.station(id)?.1, topology.bus(key)?.1);
                    Some(format!("{} on {}", station.name, bus.name))
                }
            },
        }
    }

    /// Returns the selected container.
    pub fn selected(&self) -> Option<&Row> {
        self.containers.selected()
    }

    /// Returns whether something on the screen turns while time goes on.
    pub fn is_animated(&self) -> bool {
        let moving = self.transfers.iter().any(|transfer| transfer.end.is_none());
        let starting =
            |overlay: &Overlay| matches!(overlay, Overlay::Run(form) if form.starting.is_some());
        moving
            || !self.pending.is_empty()
            || !self.volumes.saving.is_empty()
            || self.overlays.last().is_some_and(starting)
    }

    /// Returns what is happening to a container.
    pub fn pending_on(&self, id: &ContainerId) -> Option<&Pending> {
        let on = |pending: &&Pending| matches!(&pending.on, Target::Container(on) if on == id);
        self.pending.values().find(on)
    }

    /// Returns what is happening to which containers: for who asks about many of them.
    pub(crate) fn busy(&self) -> HashMap<&ContainerId, &Pending> {
        let pending = self.pending.values().filter_map(|pending| match &pending.on {
            Target::Container(id) => Some((id, pending)),
            _ => None,
        });
        pending.collect()
    }

    /// Asks for a redraw at least this soon.
    pub fn draw(&mut self, redraw: Redraw) {
        self.redraw = self.redraw.max(redraw);
    }

    /// Returns a fresh number for a command or a log.
    pub fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Tells the user something.
    pub fn tell(&mut self, text: impl Into<String>) {
        self.notice =
            Some(Notice { text: text.into(), is_error: false, of_key: false, at: self.now });
        self.draw(Redraw::Now);
    }

    /// Returns a text in which containers have their names instead of their long ids.
    fn with_names(&self, mut text: String) -> String {
        for row in &self.containers.rows {
            let id = row.summary.id.as_str();
            if text.contains(id) {
                text = text.replace(id, &row.summary.name);
            }
        }
        text
    }

    /// Tells the user of a failure and keeps it.
    pub fn fail(&mut self, what: impl Into<String>, text: impl Into<String>) {
        let (what, text) = (what.into(), text.into());
        let text = self.with_names(wharf_logs::sanitize_line(&text).into_owned());
        let line = if text.contains(&what) { text.clone() } else { format!("{what}: {text}") };
        self.notice = Some(Notice { text: line, is_error: true, of_key: true, at: self.now });
        if self.problems.len() == PROBLEMS {
            self.problems.pop_front();
        }
        self.problems.push_back(Problem { at: self.now, what, text });
        self.draw(Redraw::Now);
    }
}
