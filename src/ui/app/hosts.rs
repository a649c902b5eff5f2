//! The engines that are shown: how each does, which one the screens are about, and which one a question
//! or a change is for.
//!
//! Containers of all of them are in one list, known by their ids; the other screens show one engine at a
//! time, the current one. Where there is a single engine, all of this comes down to "the first".

use std::time::Duration;

use chrono::{DateTime, Utc};
use wharf_model::{Command, ContainerId, EngineInfo};

use super::files::FilesOf;
use super::{App, Fetch, Link, Row, Screen};
use crate::keymap::Action;
use crate::message::{Effect, ScreenTag};
use crate::options::HostOptions;

/// One engine.
#[derive(Debug)]
pub struct Host {
    /// What it is called, where it is, and the words that lead to it.
    pub options: HostOptions,
    /// The connection.
    pub link: Link,
    /// Since when an engine that once answered doesn't: what is shown of it is as it was then.
    pub lost_since: Option<DateTime<Utc>>,
    /// What it says of itself.
    pub info: Option<EngineInfo>,
    /// How long its last sign of life took to come.
    pub latency: Option<Duration>,
    /// Whether its containers were asked for and haven't come.
    pub listing: Fetch,
    /// How many of its containers another engine has, too: they are shown once.
    pub doubles: usize,
    /// Why it doesn't know the past.
    pub no_past: Option<String>,
}

impl Host {
    fn new(options: HostOptions) -> Self {
        Self {
            options,
            link: Link::Connecting,
            lost_since: None,
            info: None,
            latency: None,
            listing: Fetch::Idle,
            doubles: 0,
            no_past: None,
        }
    }

    /// Returns what it is called.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Returns whether what is shown of it may be out of date.
    pub fn is_stale(&self) -> bool {
        self.lost_since.is_some()
    }

    /// Returns how many seconds a removal can be taken back; none if it can't.
    pub fn undo_seconds(&self) -> Option<u32> {
        self.info.as_ref()?.undo_seconds
    }

    /// Returns what its user should know of it, besides what it says itself.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = self.options.warning.iter().cloned().collect();
        if self.doubles > 0 {
            let count = self.doubles;
            let plural = if count == 1 { "container is" } else { "containers are" };
            remarks.push(format!(
                "{count} {plural} another host's, too, and shown there: is it the same engine, or a \
                 copy of its disk?"
            ));
        }
        remarks
    }
}

/// The engines that are shown.
#[derive(Debug)]
pub struct Hosts {
    /// All of them; at least one.
    pub list: Vec<Host>,
    /// The one that all screens but the containers' are about.
    pub current: usize,
    /// Whether its images are to be asked for, since it became the current one.
    pub images_due: bool,
}

impl Hosts {
    /// Returns these; without any, an engine without a name.
    pub(super) fn new(hosts: Vec<HostOptions>) -> Self {
        let mut list: Vec<Host> = hosts.into_iter().map(Host::new).collect();
        if list.is_empty() {
            list.push(Host::new(HostOptions::default()));
        }
        Self { list, current: 0, images_due: false }
    }

    /// Returns whether there is more than one.
    pub fn several(&self) -> bool {
        self.list.len() > 1
    }

    /// Returns an engine by its place; the first instead of one that isn't there.
    pub fn get(&self, at: usize) -> &Host {
        self.list.get(at).unwrap_or(&self.list[0])
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, at: usize) -> &mut Host {
        let at = if at < self.list.len() { at } else { 0 };
        &mut self.list[at]
    }

    /// Returns those that can't be reached, though they are wanted.
    pub fn lost(&self) -> impl Iterator<Item = &Host> {
        self.list.iter().filter(|host| matches!(host.link, Link::Lost(_)))
    }
}

impl App {
    /// Returns which engine the screen is about: that of the selected container, or the current one.
    pub fn here(&self) -> usize {
        if self.screen != Screen::Containers || !self.hosts.several() {
            return self.hosts.current;
        }
        let member = || self.containers.members(self.containers.group()?).next();
        self.selected().or_else(member).map_or(self.hosts.current, |row| row.host)
    }

    /// Returns the engine that the screen is about.
    pub fn host(&self) -> &Host {
        self.hosts.get(self.here())
    }

    /// Returns which engine has a container.
    pub fn host_of(&self, id: &str) -> usize {
        if !self.hosts.several() {
            return 0;
        }
        self.containers.row_of(id).map_or(self.hosts.current, |row| row.host)
    }

    /// Returns the containers of the current engine.
    pub fn rows_here(&self) -> impl Iterator<Item = &Row> {
        self.containers.rows.iter().filter(|row| row.host == self.hosts.current)
    }

    /// Returns what people call a container: where there are several engines, with its own.
    pub fn called(&self, row: &Row) -> String {
        match self.hosts.several() {
            true => format!("{} on {}", row.summary.name, self.hosts.get(row.host).name()),
            false => row.summary.name.clone(),
        }
    }

    /// Returns the time that what is shown of an engine is true of.
    pub fn as_of_host(&self, host: usize) -> DateTime<Utc> {
        let past = self.travel.as_ref().map(|travel| travel.shown(host));
        past.or(self.hosts.get(host).lost_since).unwrap_or(self.now)
    }

    pub(super) fn can_with_hosts(&self, action: Action) -> Result<(), String> {
        if !self.hosts.several() {
            return Err("there is one host: --host can be repeated, or config.toml has \
                        [[hosts]]"
                .to_owned());
        }
        match action {
            Action::HostOnOff | Action::UseHost if self.host_row().is_none() => {
                Err("no host is selected".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Returns the engine whose row of the system screen is selected.
    pub fn host_row(&self) -> Option<usize> {
        let at = self.system.cursor.at;
        let rows = self.screen == Screen::System && self.hosts.several();
        (rows && at < self.hosts.list.len()).then_some(at)
    }

    /// Returns whether the selected engine is one that the user has disconnected from.
    pub(crate) fn host_row_is_off(&self) -> bool {
        self.host_row().is_some_and(|host| self.hosts.get(host).link == Link::Off)
    }

    /// Returns the engine that the system screen describes.
    pub fn described(&self) -> &Host {
        self.hosts.get(self.host_row().unwrap_or(self.hosts.current))
    }

    /// Returns the words of a command line that lead to an engine.
    pub fn program(&self, host: usize) -> &[String] {
        &self.hosts.get(host).options.program
    }

    /// Returns which engine a document is asked of.
    pub(crate) fn host_of_tag(&self, tag: &ScreenTag) -> usize {
        match tag {
            ScreenTag::Container(id) => self.host_of(id.as_str()),
            // A container is compared with its own image.
            ScreenTag::Image(_) if self.screen == Screen::Containers => self.here(),
            _ => self.hosts.current,
        }
    }
}

/// Returns which engine an effect is for; none for what no engine has a part in.
pub(crate) fn host_for(app: &App, effect: &Effect) -> Option<usize> {
    let of = |id: &ContainerId| Some(app.host_of(id.as_str()));
    match effect {
        Effect::At { host, .. } => Some(*host),
        Effect::FetchDocument(tag) | Effect::Compare(tag, _) => Some(app.host_of_tag(tag)),
        Effect::FetchRecording { id, .. }
        | Effect::FetchHealth { id, .. }
        | Effect::FetchDetails(id)
        | Effect::FetchTop(id)
        | Effect::FetchDetail(id)
        | Effect::OpenTerminal { container: id, .. }
        | Effect::MeasureFolders { container: id, .. } => of(id),
        Effect::FetchFiles { of: FilesOf::Container(id), .. }
        | Effect::FetchFile { of: FilesOf::Container(id), .. } => of(id),
        Effect::TryReach(question) => Some(app.host_of(&question.from)),
        Effect::CopyFiles { request, .. } => Some(app.host_of(&request.container)),
        Effect::Execute { command, .. } => Some(host_of_command(app, command)),
        Effect::Shell { .. } => Some(app.here()),
        Effect::Quit
        | Effect::Suspend
        | Effect::Repaint
        | Effect::Mouse(_)
        | Effect::Copy(_)
        | Effect::Abort(_)
        | Effect::OpenLog { .. }
        | Effect::CloseLog
        | Effect::Log(_)
        | Effect::Terminal { .. } => None,
        _ => Some(app.hosts.current),
    }
}

/// Returns which engine a command is for: that of its container, or the current one.
pub(crate) fn host_of_command(app: &App, command: &Command) -> usize {
    match command {
        Command::Start { container }
        | Command::Stop { container, .. }
        | Command::Restart { container, .. }
        | Command::Kill { container, .. }
        | Command::Pause { container }
        | Command::Unpause { container }
        | Command::Update { container, .. }
        | Command::Remove { container, .. }
        | Command::Discard { container }
        | Command::Restore { container }
        | Command::Rename { container, .. }
        | Command::Connect { container, .. }
        | Command::Disconnect { container, .. } => app.host_of(container),
        _ => app.hosts.current,
    }
}
