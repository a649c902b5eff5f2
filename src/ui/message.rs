//! What comes in and what goes out: the only two ways between the [`App`](crate::App) and the
//! world.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use crossterm::event::{KeyEvent, MouseEvent};
use wharf_backend::{Error, SampleBatch};
use wharf_logs::{Bars, Direction, Span};
use wharf_model::{
    Command, ContainerDetail, ContainerId, ContainerSummary, DetailSample, Digest, DiskUsage,
    EngineInfo, Event, FileEntry, FileHead, FolderList, HistoryEntry, ImageDetail, ImageSummary,
    LayerChanges, LayerInfo, LogStream, Moment, NetCounters, NetworkInfo, Outcome, PullOptions,
    PushOptions, ReachAnswer, ReachQuestion, TermSize, TopTable, TransferEvent, VolumeInfo,
};

use crate::app::files::FilesOf;
use crate::app::health::Report;
use crate::app::terminals::Want;
use crate::app::{LogOrigin, Past};
use crate::options::CopyRequest;

/// Something that happened.
#[derive(Debug)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// A text was pasted.
    Paste(String),
    /// The terminal has a new size: columns, rows.
    Resize(u16, u16),
    /// Time goes on.
    Tick(DateTime<Utc>),
    /// The containers, all of them.
    Containers(Result<Vec<ContainerSummary>, Error>),
    /// The images.
    Images(Result<Vec<ImageSummary>, Error>),
    /// Facts about the engine.
    Info(Result<Box<EngineInfo>, Error>),
    /// The newest samples.
    Samples(SampleBatch),
    /// The events can be heard (again).
    Connected,
    /// The engine doesn't answer; the runtime goes on trying.
    Lost(Error),
    /// The engine tells of something.
    Event(Event),
    /// A command has ended.
    Done {
        /// The number given with [`Effect::Execute`].
        operation: u64,
        /// What came of it.
        result: Result<Outcome, Error>,
    },
    /// What is recorded of a container.
    Recorded {
        /// Whose.
        id: ContainerId,
        /// Its past, ready to be drawn.
        result: Result<Box<Past>, Error>,
    },
    /// How the containers were.
    Then {
        /// When.
        at: DateTime<Utc>,
        /// What is recorded of each, and of the host.
        result: Result<Moment, Error>,
    },
    /// What the health tab is about.
    Health {
        /// Whose.
        id: ContainerId,
        /// What the engine told.
        result: Result<Box<Report>, Error>,
    },
    /// The events that the engine remembers.
    EventHistory(Result<Vec<Event>, Error>),
    /// What is measured only of a container that is looked at closely.
    Details {
        /// Whose.
        id: ContainerId,
        /// The details.
        result: Result<DetailSample, Error>,
    },
    /// An inspect document.
    Document {
        /// Whose.
        tag: ScreenTag,
        /// The document.
        result: Result<Box<serde_json::Value>, Error>,
    },
    /// A container's processes.
    Top {
        /// Whose.
        id: ContainerId,
        /// The table.
        result: Result<TopTable, Error>,
    },
    /// An image's steps.
    History {
        /// The image.
        image: Digest,
        /// The steps, newest first.
        result: Result<Vec<HistoryEntry>, Error>,
    },
    /// The layers of all images.
    ImageLayers(Result<Vec<(Digest, Vec<LayerInfo>)>, Error>),
    /// What a layer does to those below.
    LayerChanges {
        /// The image.
        image: Digest,
        /// The layer; the lowest is 0.
        layer: usize,
        /// How many files.
        result: Result<LayerChanges, Error>,
    },
    /// What is known of the image that the form is about.
    Image(Result<Box<ImageDetail>, Error>),
    /// A step of a pull or a push.
    Transfer {
        /// The number given with [`Effect::Pull`] or [`Effect::Push`].
        operation: u64,
        /// What happened.
        event: TransferEvent,
    },
    /// A pull or a push has ended.
    TransferEnded {
        /// The number given with [`Effect::Pull`] or [`Effect::Push`].
        operation: u64,
        /// Why it failed, if it did.
        result: Result<(), Error>,
    },
    /// A container was made and started, or not.
    Ran {
        /// The number given with [`Effect::Run`].
        operation: u64,
        /// Its name and the engine's warnings; of a failure nothing is left.
        result: Result<(String, Vec<String>), Error>,
    },
    /// The networks.
    Networks(Result<Vec<NetworkInfo>, Error>),
    /// The counters of the host's links.
    Links {
        /// When they were read, on a clock that never jumps.
        at: Duration,
        /// By the links' names.
        result: Result<Vec<(String, NetCounters)>, Error>,
    },
    /// Whether a container reaches something.
    Reached {
        /// What was asked.
        question: ReachQuestion,
        /// What came of it.
        result: Result<ReachAnswer, Error>,
    },
    /// The volumes.
    Volumes {
        /// Whether their sizes are told.
        sizes: bool,
        /// All of them.
        result: Result<Vec<VolumeInfo>, Error>,
    },
    /// What is in a folder.
    Files {
        /// Whose.
        of: FilesOf,
        /// The folder.
        path: PathBuf,
        /// Its entries.
        result: Result<Vec<FileEntry>, Error>,
    },
    /// What is in a folder of a container.
    Folder {
        /// Whose.
        of: FilesOf,
        /// The folder, or a link to it.
        path: PathBuf,
        /// What is in it.
        result: Result<FolderList, Error>,
    },
    /// How much a folder takes, or all that were to be measured, without a name.
    FolderSize {
        /// The number given with [`Effect::MeasureFolders`].
        operation: u64,
        /// The folder.
        name: Option<std::ffi::OsString>,
        /// Bytes.
        result: Result<u64, Error>,
    },
    /// Files were copied, or not.
    FilesCopied {
        /// The number given with [`Effect::CopyFiles`].
        operation: u64,
        /// What came of it.
        result: Result<(), String>,
    },
    /// Two documents that are to be compared.
    Compared {
        /// What they are of.
        pair: (ScreenTag, ScreenTag),
        /// The documents.
        result: Result<Box<(serde_json::Value, serde_json::Value)>, Error>,
    },
    /// The beginning of a file.
    File {
        /// Whose.
        of: FilesOf,
        /// The file.
        path: PathBuf,
        /// Its bytes.
        result: Result<FileHead, Error>,
    },
    /// How far a save is.
    Saving {
        /// The number given with [`Effect::SaveVolume`] or [`Effect::SaveImages`].
        operation: u64,
        /// Bytes written so far.
        bytes: u64,
    },
    /// A save has ended.
    Saved {
        /// The number given with [`Effect::SaveVolume`] or [`Effect::SaveImages`].
        operation: u64,
        /// Bytes written, or why it failed; what was written is gone then.
        result: Result<u64, Error>,
    },
    /// What one of several engines told.
    Of {
        /// Its place among them.
        host: usize,
        /// What.
        msg: Box<Msg>,
    },
    /// How long the engine's last sign of life took to come.
    Latency(Duration),
    /// How much disk the engine takes.
    Usage(Result<Box<DiskUsage>, Error>),
    /// All that is known of the container whose limits are to be edited.
    Detail(ContainerId, Result<Box<ContainerDetail>, Error>),
    /// About a terminal.
    Terminal {
        /// The number given with [`Effect::OpenTerminal`].
        number: u64,
        /// What.
        reply: TerminalReply,
    },
    /// A command of the user's own has ended.
    ShellEnded {
        /// The number given with [`Effect::Shell`].
        operation: u64,
        /// What came of it, or why it couldn't be run.
        result: Result<ShellOutput, String>,
    },
    /// A change couldn't be written to the audit file.
    Unaudited(String),
    /// The logs are to show an instant: time travel has gone there.
    LogsAt(DateTime<Utc>),
    /// About the open log.
    Log {
        /// The number given with [`Effect::OpenLog`]; others are out of date.
        generation: u64,
        /// What.
        reply: LogReply,
    },
}

/// What came of a command of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellOutput {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote, errors last.
    pub text: String,
    /// Whether it wrote more than that.
    pub cut: bool,
}

impl ShellOutput {
    /// Returns how it ended, in words.
    pub fn verdict(&self) -> String {
        match self.code {
            Some(code) => format!("exit code {code}"),
            None => "ended by a signal".to_owned(),
        }
    }
}

/// What a document is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScreenTag {
    /// A container.
    Container(ContainerId),
    /// An image, by name or id.
    Image(String),
    /// A network, by its id.
    Network(String),
    /// A volume, by its name.
    Volume(String),
}

/// Something to do outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Leave the dashboard.
    Quit,
    /// Give the terminal back and stop until the shell lets us go on.
    Suspend,
    /// Draw every cell anew.
    Repaint,
    /// Take the mouse from the terminal, or give it back.
    Mouse(bool),
    /// Put a text on the user's clipboard.
    Copy(String),
    /// Ask for the containers.
    FetchContainers,
    /// Ask for the images.
    FetchImages,
    /// Ask for facts about the engine.
    FetchInfo,
    /// Ask for a document.
    FetchDocument(ScreenTag),
    /// Ask for what is recorded of a container.
    FetchRecording {
        /// Whose.
        id: ContainerId,
        /// Bytes of memory that the host has, against which its memory is measured.
        host_memory: Option<u64>,
    },
    /// Ask how the containers were at an instant.
    FetchThen(DateTime<Utc>),
    /// Ask for what the health tab shows of a container.
    FetchHealth {
        /// Whose.
        id: ContainerId,
        /// Whether it has ended, and its last words are wanted.
        ended: bool,
    },
    /// Ask for the events that the engine remembers.
    FetchEvents,
    /// Ask for the details of a container.
    FetchDetails(ContainerId),
    /// Ask for a container's processes.
    FetchTop(ContainerId),
    /// Ask for an image's steps.
    FetchHistory(Digest),
    /// Ask for the layers of all images.
    FetchImageLayers,
    /// Ask what a layer does to those below.
    FetchLayerChanges {
        /// The image.
        image: Digest,
        /// The layer; the lowest is 0.
        layer: usize,
    },
    /// Ask for what is known of an image.
    FetchImage(String),
    /// Pull an image.
    Pull {
        /// Comes back with every message about it.
        operation: u64,
        /// Which.
        options: PullOptions,
    },
    /// Push an image.
    Push {
        /// Comes back with every message about it.
        operation: u64,
        /// Which, and where to.
        options: PushOptions,
    },
    /// Write images to a file.
    SaveImages {
        /// Comes back with every message about it.
        operation: u64,
        /// Their names or ids.
        images: Vec<String>,
        /// Where; it must not exist.
        path: PathBuf,
    },
    /// Give up a pull, a push or a save of images.
    Abort(u64),
    /// Make a container and start it.
    Run {
        /// Comes back with the result.
        operation: u64,
        /// The words that follow `run`.
        words: Vec<String>,
    },
    /// Ask for the networks.
    FetchNetworks,
    /// Ask for the counters of the host's links.
    FetchLinks,
    /// Try whether a container reaches something.
    TryReach(ReachQuestion),
    /// Ask for the volumes; with their sizes, which takes its time.
    FetchVolumes {
        /// Whether the sizes are wanted.
        sizes: bool,
    },
    /// Ask what is in a folder.
    FetchFiles {
        /// Whose.
        of: FilesOf,
        /// The folder.
        path: PathBuf,
    },
    /// Measure folders of a container, one after the other.
    MeasureFolders {
        /// Comes back with every message about it.
        operation: u64,
        /// The container.
        container: ContainerId,
        /// The folder that they are in.
        path: PathBuf,
        /// Their names.
        names: Vec<std::ffi::OsString>,
    },
    /// Copy files between a container and this host.
    CopyFiles {
        /// Comes back with the result.
        operation: u64,
        /// Which.
        request: CopyRequest,
    },
    /// Ask for two documents.
    Compare(ScreenTag, ScreenTag),
    /// Ask for the beginning of a file.
    FetchFile {
        /// Whose.
        of: FilesOf,
        /// The file.
        path: PathBuf,
    },
    /// Write a volume's content to a file.
    SaveVolume {
        /// Comes back with every message about it.
        operation: u64,
        /// The volume.
        volume: String,
        /// Where; it must not exist.
        path: PathBuf,
    },
    /// Make a change.
    Execute {
        /// Comes back with the result.
        operation: u64,
        /// Which.
        command: Command,
    },
    /// The same, for one of several engines.
    At {
        /// Its place among them.
        host: usize,
        /// What.
        effect: Box<Effect>,
    },
    /// Keep the connection to the engine, or give it up.
    Watch(bool),
    /// Ask how much disk the engine takes.
    FetchUsage,
    /// Ask for all that is known of a container.
    FetchDetail(ContainerId),
    /// Run a command of the user's own.
    Shell {
        /// Comes back with the result.
        operation: u64,
        /// What it is called, and what it is about.
        name: String,
        /// A line for the shell.
        line: String,
    },
    /// Open a terminal in a container.
    OpenTerminal {
        /// Comes back with every message about it.
        number: u64,
        /// Where.
        container: ContainerId,
        /// What is to run in it.
        want: Want,
        /// How large it is.
        size: TermSize,
    },
    /// Something for a terminal.
    Terminal {
        /// The number given with [`Effect::OpenTerminal`].
        number: u64,
        /// What.
        ask: TerminalAsk,
    },
    /// Open a container's log, or several as one, in place of what is open.
    OpenLog {
        /// Comes back with every reply.
        generation: u64,
        /// Whose.
        origins: Vec<LogOrigin>,
        /// How many of the last lines to send at once.
        rows: usize,
    },
    /// Close the open log.
    CloseLog,
    /// Something about the open log.
    Log(LogAsk),
}

/// Something for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalAsk {
    /// What is typed.
    Input(Vec<u8>),
    /// Nothing more will be typed.
    EndInput,
    /// Another size.
    Resize(TermSize),
    /// End the program, or let go of the container that is attached to.
    End,
}

/// About a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TerminalReply {
    /// It runs.
    Opened {
        /// What, for people; empty for a container's own process.
        program: String,
        /// What it is instead, where something else was wanted.
        instead: Option<Want>,
        /// Whether the program has a terminal.
        tty: bool,
        /// Whether it can be typed to.
        input: bool,
    },
    /// What the program wrote.
    Output(Vec<u8>),
    /// The program doesn't read: what was typed is dropped.
    Deaf,
    /// It has ended with an exit code, or failed.
    Ended(Result<i32, String>),
}

/// A question about the open log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogAsk {
    /// The newest lines, and those to come.
    Tail {
        /// How many.
        rows: usize,
    },
    /// The oldest lines.
    Head {
        /// How many.
        rows: usize,
    },
    /// Lines from this position on.
    After {
        /// Where.
        position: u64,
        /// How many.
        rows: usize,
    },
    /// Lines before this position.
    Before {
        /// Where.
        position: u64,
        /// How many.
        rows: usize,
    },
    /// Lines on both sides of a position, the line there in the middle.
    Around {
        /// Where.
        position: u64,
        /// How many on each side.
        rows: usize,
    },
    /// Lines on both sides of an instant.
    At {
        /// When.
        time: DateTime<Utc>,
        /// How many on each side.
        rows: usize,
    },
    /// Leave out what was written before an instant, or nothing.
    Since(Option<DateTime<Utc>>),
    /// The histogram, now and as it changes; 0 ends that.
    Bars {
        /// How many bars at most.
        columns: usize,
    },
    /// All of a line.
    Whole {
        /// Where it is.
        position: u64,
        /// Where the next one is.
        next: u64,
        /// How wide its rows may be.
        columns: usize,
    },
    /// Send JSON as it was written, or folded.
    Raw(bool),
    /// The text of lines: where each is, and where the next one is.
    Copy(Vec<(u64, u64)>),
    /// Search for this pattern; empty ends the search.
    Search {
        /// A regular expression.
        pattern: String,
    },
    /// The match nearest to a position.
    Find {
        /// Where to begin; not included.
        from: u64,
        /// Which way.
        direction: Direction,
    },
    /// Send only matching lines, or all.
    Only(bool),
    /// Send new lines as they come, or not.
    Follow(bool),
    /// Write the whole log (or its matching lines) to a file.
    Save {
        /// Where; it must not exist.
        path: PathBuf,
        /// Whether each line begins with its time.
        times: bool,
    },
}

/// A line made safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLine {
    /// Where it is.
    pub position: u64,
    /// Where the next one is.
    pub next: u64,
    /// When it was written, if it says so.
    pub time: Option<DateTime<Utc>>,
    /// Where it came from.
    pub stream: LogStream,
    /// Which of the merged logs it is from.
    pub source: usize,
    /// Whether it belongs to the record of the line before it.
    pub joined: bool,
    /// Whether there is more of it than its text here.
    pub folds: bool,
    /// Its text.
    pub spans: Vec<Span>,
}

/// Where lines belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In place of all others, showing the end.
    Tail,
    /// In place of all others, showing the start.
    Head,
    /// In place of all others, showing this position.
    Around(u64),
    /// After the others.
    After,
    /// Before the others.
    Before,
}

/// About the open log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogReply {
    /// Some lines.
    Lines {
        /// Where they belong.
        place: Place,
        /// Oldest first.
        lines: Vec<RawLine>,
        /// Whether there are none before these.
        at_start: bool,
        /// Whether there are none after these for now.
        at_end: bool,
    },
    /// The histogram; none if nothing has a time.
    Bars(Option<Bars>),
    /// All of a line.
    Whole {
        /// Which.
        position: u64,
        /// Its rows.
        rows: Vec<Vec<Span>>,
    },
    /// The text of lines.
    Copied {
        /// What they say.
        text: String,
        /// How many.
        lines: usize,
    },
    /// What isn't there of a log that comes as a stream.
    Missing {
        /// How many of the last records were asked for.
        asked: u64,
        /// How many of these were dropped since.
        dropped: u64,
    },
    /// Bytes of the log that rotation has removed.
    Removed(u64),
    /// How much the engine keeps of a log that it rotates, and sends.
    Kept(String),
    /// How often the engine has lost lines of what it sends.
    Lost(u64),
    /// More lines came, which aren't sent since nobody follows.
    Grown,
    /// There will be no more lines.
    Ended,
    /// How many matches there are so far, and whether all have been counted.
    Matches {
        /// How many.
        count: u64,
        /// Whether that is all.
        complete: bool,
    },
    /// Where the asked-for match is.
    Found(u64),
    /// There is no match that way.
    NotFound,
    /// The log is saved: path and lines.
    Saved(PathBuf, u64),
    /// Something can't be done; the sentence says what.
    Failed(String),
}
