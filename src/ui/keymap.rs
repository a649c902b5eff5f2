//! The one table of keys. Key handling, the help overlay, the action menus, the palette and the
//! footer hints are all made from it, so that none of them can promise what another doesn't keep.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

mod context;
mod force;

pub use context::Context;
pub use force::{Bound, Keymap};

/// What a key, a menu entry or a palette entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table describes each of them to the user")]
pub enum Action {
    Quit,
    Suspend,
    Redraw,
    Help,
    Palette,
    Menu,
    Back,
    ShowErrors,
    ToggleMouse,
    ScreenContainers,
    ScreenImages,
    ScreenVolumes,
    ScreenNetworks,
    ScreenEvents,
    ScreenSystem,
    NextScreen,
    PreviousScreen,
    ZoomIn,
    ZoomOut,
    NextPane,
    PreviousPane,
    MorePanes,
    FewerPanes,
    Down,
    Up,
    First,
    Last,
    HalfDown,
    HalfUp,
    PageDown,
    PageUp,
    NextTab,
    PreviousTab,
    Filter,
    Mark,
    Bulk,
    Sort,
    ReverseSort,
    CopyName,
    CopyId,
    ShowAll,
    ShowStats,
    ShowLogs,
    ShowInspect,
    LongerWindow,
    ShorterWindow,
    Freeze,
    CursorLeft,
    CursorRight,
    FarLeft,
    FarRight,
    ZoomChart,
    NextChart,
    PreviousChart,
    TimeTravel,
    JumpToTime,
    HoldEvents,
    ShowPrograms,
    GoToObject,
    TravelBack,
    TravelOn,
    ShowTop,
    ShowHealth,
    ShowEvents,
    ShowLayers,
    ShowUsers,
    ShowFiles,
    ShowDetails,
    Start,
    Stop,
    Restart,
    PauseResume,
    Kill,
    Remove,
    RunImage,
    PullImage,
    PushImage,
    SaveImage,
    PruneImages,
    ShowTransfers,
    CancelTransfer,
    CopyCommand,
    TagImage,
    RemoveImage,
    CreateVolume,
    RemoveVolume,
    PruneVolumes,
    ExportVolume,
    OpenEntry,
    LeaveFolder,
    GoLeft,
    GoRight,
    Scale,
    CreateNetwork,
    RemoveNetwork,
    PruneNetworks,
    Connect,
    Disconnect,
    TryReach,
    Search,
    NextMatch,
    PreviousMatch,
    OnlyMatching,
    Follow,
    Wrap,
    Timestamps,
    ScrollLeft,
    ScrollRight,
    SaveLog,
    MergeLogs,
    CopyOut,
    CopyIn,
    Measure,
    Reread,
    DiffTree,
    LogsAt,
    LogsTail,
    LogsHead,
    Logs1m,
    Logs5m,
    Logs15m,
    Logs30m,
    Logs1h,
    EarlierBar,
    LaterBar,
    OpenLine,
    CopyLine,
    CopyScreen,
    MarkLine,
    RawLines,
    Fold,
    FoldIn,
    FoldOut,
    FoldAll,
    GroupOrNot,
    Rename,
    Limits,
    Undo,
    PruneKind,
    Refresh,
    ChooseHost,
    HostOnOff,
    UseHost,
    ChooseColumns,
    Toggle,
    MoveDown,
    MoveUp,
    CopyValue,
    CopyPath,
    Secrets,
    ReadValue,
    Accept,
    Cancel,
    NextChoice,
    PreviousChoice,
    Complete,
    AnswerYes,
    AnswerNo,
    EraseLine,
    EraseWord,
    OpenShell,
    OpenToolbox,
    Attach,
    ListShells,
    ShellKeys,
    LeaveShell,
    ZoomShell,
    ShellBack,
    ShellForth,
    NextShell,
    PreviousShell,
    NewShell,
    EndShell,
    SendPrefix,
    /// A command of the user's own, by its place in the config file.
    Custom(usize),
}

impl Action {
    /// Returns its name in the config file: `pause-resume`.
    pub fn word(self) -> String {
        let mut word = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !word.is_empty() {
                word.push('-');
            }
            word.extend(letter.to_lowercase());
        }
        word
    }

    /// Returns whether it changes anything outside the dashboard; `--read-only` takes these away.
    pub fn changes(self) -> bool {
        matches!(
            self,
            Self::Start
                | Self::Stop
                | Self::Restart
                | Self::PauseResume
                | Self::Kill
                | Self::Remove
                | Self::Rename
                | Self::Limits
                | Self::Undo
                | Self::PruneKind
                | Self::RunImage
                | Self::PullImage
                | Self::PushImage
                | Self::PruneImages
                | Self::TagImage
                | Self::RemoveImage
                | Self::Bulk
                | Self::CopyIn
                | Self::CreateVolume
                | Self::RemoveVolume
                | Self::PruneVolumes
                | Self::CreateNetwork
                | Self::RemoveNetwork
                | Self::PruneNetworks
                | Self::Connect
                | Self::Disconnect
                | Self::OpenShell
                | Self::OpenToolbox
                | Self::NewShell
                // Nobody knows what they do.
                | Self::Custom(_)
        )
    }

    /// Returns whether it acts on the selected object, which makes it an entry of the menu.
    pub fn is_on_object(self) -> bool {
        matches!(
            self,
            Self::Custom(_)
                | Self::CopyName
                | Self::CopyId
                | Self::ShowStats
                | Self::ShowLogs
                | Self::ShowInspect
                | Self::ShowTop
                | Self::ShowHealth
                | Self::ShowEvents
                | Self::ShowLayers
                | Self::ShowUsers
                | Self::ShowFiles
                | Self::ShowDetails
                | Self::Start
                | Self::Stop
                | Self::Restart
                | Self::PauseResume
                | Self::Kill
                | Self::Remove
                | Self::Rename
                | Self::Limits
                | Self::Undo
                | Self::PruneKind
                | Self::Refresh
                | Self::HostOnOff
                | Self::UseHost
                | Self::Bulk
                | Self::RunImage
                | Self::PullImage
                | Self::PushImage
                | Self::SaveImage
                | Self::PruneImages
                | Self::ShowTransfers
                | Self::TagImage
                | Self::RemoveImage
                | Self::CreateVolume
                | Self::RemoveVolume
                | Self::PruneVolumes
                | Self::ExportVolume
                | Self::CreateNetwork
                | Self::RemoveNetwork
                | Self::PruneNetworks
                | Self::Connect
                | Self::Disconnect
                | Self::TryReach
                | Self::OpenShell
                | Self::OpenToolbox
                | Self::Attach
                | Self::OnlyMatching
                | Self::Follow
                | Self::Wrap
                | Self::Timestamps
                | Self::SaveLog
                | Self::MergeLogs
                | Self::CopyOut
                | Self::CopyIn
                | Self::Measure
                | Self::DiffTree
                | Self::LogsAt
                | Self::CopyLine
                | Self::CopyScreen
                | Self::RawLines
                | Self::Fold
                | Self::FoldAll
                | Self::CopyValue
                | Self::CopyPath
                | Self::Secrets
                | Self::ReadValue
                | Self::Search
        )
    }
}

/// A key with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Which key.
    pub code: KeyCode,
    /// With which of control, alt and shift; shift is left out for characters.
    pub modifiers: KeyModifiers,
}

impl Key {
    const fn char(c: char) -> Self {
        Self { code: KeyCode::Char(c), modifiers: KeyModifiers::NONE }
    }

    const fn ctrl(c: char) -> Self {
        Self { code: KeyCode::Char(c), modifiers: KeyModifiers::CONTROL }
    }

    const fn code(code: KeyCode) -> Self {
        Self { code, modifiers: KeyModifiers::NONE }
    }

    /// Returns the key of an event, with the modifiers that tell keys apart.
    pub fn of(event: &KeyEvent) -> Self {
        let mut modifiers =
            event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        if matches!(event.code, KeyCode::Char(_) | KeyCode::BackTab) {
            modifiers.remove(KeyModifiers::SHIFT);
        }
        // A terminal has one byte for either.
        let code = match event.code {
            KeyCode::Char(digit @ '4'..='7') if modifiers == KeyModifiers::CONTROL => {
                KeyCode::Char(char::from(b'\\' + (digit as u8 - b'4')))
            }
            code => code,
        };
        Self { code, modifiers }
    }

    /// Returns its name as the help shows it: `Ctrl-d`, `PgUp`, `Space`.
    pub fn name(self) -> String {
        let base = match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::Up => "Up".to_owned(),
            KeyCode::Down => "Down".to_owned(),
            KeyCode::Left => "Left".to_owned(),
            KeyCode::Right => "Right".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::Home => "Home".to_owned(),
            KeyCode::End => "End".to_owned(),
            KeyCode::Delete => "Del".to_owned(),
            KeyCode::Insert => "Ins".to_owned(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            KeyCode::Tab => "Tab".to_owned(),
            KeyCode::Backspace => "Backspace".to_owned(),
            KeyCode::Enter => "Enter".to_owned(),
            KeyCode::Esc => "Esc".to_owned(),
            other => other.to_string(),
        };
        let mut name = String::new();
        for (modifier, prefix) in [
            (KeyModifiers::CONTROL, "Ctrl-"),
            (KeyModifiers::ALT, "Alt-"),
            (KeyModifiers::SHIFT, "Shift-"),
        ] {
            if self.modifiers.contains(modifier) {
                name.push_str(prefix);
            }
        }
        name + &base
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    /// Where it is in force.
    pub context: Context,
    /// Its keys, the one to show in menus first.
    pub keys: &'static [Key],
    /// What it does.
    pub action: Action,
    /// A short word for the footer; empty keeps it out of there.
    pub hint: &'static str,
    /// What it does, for people.
    pub text: &'static str,
}

macro_rules! bindings {
    ($($context:ident: $([$($key:expr),+] $action:ident $hint:literal $text:literal;)+)+) => {
        &[$($(Binding {
            context: Context::$context,
            keys: &[$($key),+],
            action: Action::$action,
            hint: $hint,
            text: $text,
        }),+),+]
    };
}

use self::Key as K;
use KeyCode::{
    BackTab, Backspace, Delete, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab,
};

/// Every key there is.
pub const KEYMAP: &[Binding] = bindings! {
    Always:
        [K::ctrl('c')] Quit "" "quit at once";
    Containers:
        [K::char('s')] Stop "stop" "stop the container";
        [K::char('S')] Start "start" "start the container";
        [K::char('r')] Restart "restart" "restart the container";
        [K::char('p')] PauseResume "pause" "pause or resume the container";
        [K::char('K')] Kill "kill" "send a signal to the container";
        [K::char('d'), K::code(Delete)] Remove "remove" "remove the container";
        [K::char('l')] ShowLogs "logs" "show its log";
        [K::char('e')] OpenShell "shell" "a shell in it";
        [K::char('m')] MergeLogs "" "the logs of the marked containers as one, by time";
        [K::char('i')] ShowInspect "inspect" "inspect it";
        [K::char('t')] ShowTop "top" "show its processes";
        [K::char('A')] Attach "" "attach to its first process";
        [K::char('x')] OpenToolbox "" "a shell with the tools of another image";
        [K::char('c')] ShowStats "" "show its charts";
        [K::char('H')] ShowHealth "" "show what its probes say";
        [K::char('f')] ShowFiles "" "look into its files";
        [K::char('v')] ShowEvents "" "show what happened to it";
        [K::char('>')] LongerWindow "" "charts of a longer time";
        [K::char('<')] ShorterWindow "" "charts of a shorter time";
        [K::char('/')] Filter "filter" "filter the list";
        [K::char(' ')] Mark "" "mark or unmark, for bulk actions";
        [K::char('b')] Bulk "bulk" "act on all marked containers";
        [K::char('a')] ShowAll "" "show all containers, or only the running ones";
        [K::char('o')] Sort "sort" "sort by the next column";
        [K::char('O')] ReverseSort "" "reverse the order";
        [K::char('R')] Rename "" "give it another name";
        [K::char('L')] Limits "limits" "edit its limits and restart policy while it runs";
        [K::char('u')] Undo "undo" "take back the last removal, rename or change of limits";
        [K::char('z')] Fold "" "fold or unfold the group";
        [K::code(Left)] FoldIn "" "to the group, then fold it";
        [K::code(Right)] FoldOut "" "unfold the group, then to its first";
        [K::char('Z')] FoldAll "" "fold or unfold all groups";
        [K::char('B')] GroupOrNot "" "containers by project, or one by one";
        [K::char('C')] ChooseColumns "" "choose the columns and their order";
        [K::char('y')] CopyName "" "copy its name";
        [K::char('Y')] CopyId "" "copy its id";
        [K::char('h')] PreviousTab "" "previous tab";
    Images:
        [K::char('r')] RunImage "run" "make and start a container of it";
        [K::char('p')] PullImage "pull" "pull an image from its registry";
        [K::char('d'), K::code(Delete)] RemoveImage "remove" "remove the name, and the image with its last";
        [K::char('f')] ShowFiles "files" "look into its layers";
        [K::char('l')] ShowLayers "layers" "show the steps that made it";
        [K::char('u')] ShowUsers "users" "show the containers made from it";
        [K::char('i')] ShowInspect "inspect" "inspect it";
        [K::char('t')] TagImage "tag" "give the image one more name";
        [K::char('s')] SaveImage "save" "save it as an archive";
        [K::char('U')] PushImage "push" "push the image to its registry";
        [K::char('P')] PruneImages "prune" "remove the images that no container uses";
        [K::char('w')] ShowTransfers "progress" "show what is pulled, pushed or saved";
        [K::char('/')] Filter "filter" "filter the list";
        [K::char(' ')] Mark "" "mark or unmark, for bulk actions";
        [K::char('b')] Bulk "bulk" "act on all marked images";
        [K::char('o')] Sort "sort" "sort by the next column";
        [K::char('O')] ReverseSort "" "reverse the order";
        [K::char('y')] CopyName "" "copy its name";
        [K::char('Y')] CopyId "" "copy its id";
        [K::char('h')] PreviousTab "" "previous tab";
    Volumes:
        [K::char('f')] ShowFiles "files" "look into it";
        [K::char('u')] ShowUsers "users" "show who has it";
        [K::char('i')] ShowInspect "inspect" "inspect it";
        [K::char('s')] ExportVolume "save" "save it as an archive";
        [K::char('n')] CreateVolume "new" "make a volume";
        [K::char('d'), K::code(Delete)] RemoveVolume "remove" "remove the volume and all that is in it";
        [K::char('P')] PruneVolumes "prune" "remove the volumes that nobody has";
        [K::char('/')] Filter "filter" "filter the list";
        [K::char('o')] Sort "sort" "sort by the next column";
        [K::char('O')] ReverseSort "" "reverse the order";
        [K::char('y')] CopyName "" "copy its name";
        [K::char('Y')] CopyId "" "copy its mount point";
        [K::char('l')] NextTab "" "next tab";
        [K::char('h')] PreviousTab "" "previous tab";
    Files:
        [K::code(Enter), K::code(Right), K::char('l')] OpenEntry "open" "open the folder or file";
        [K::code(Left), K::code(Backspace), K::char('h')] LeaveFolder "up" "the folder above";
        [K::char('Y')] CopyPath "path" "copy its path on the host, or in the image";
    ContainerFiles:
        [K::char('c')] CopyOut "copy out" "copy it to this host";
        [K::char('p')] CopyIn "copy in" "copy something of this host's into this folder";
        [K::char('z')] Measure "sizes" "measure the folders, or give that up";
        [K::char('r')] Reread "" "look again";
    Networks:
        [K::char('r')] TryReach "reach" "try whether the container reaches another";
        [K::char('c')] Connect "connect" "connect a container to a network";
        [K::char('x')] Disconnect "disconnect" "take a container from a network";
        [K::char('z')] Scale "zoom" "boxes, lines, or counts";
        [K::char('n')] CreateNetwork "new" "make a network";
        [K::char('d'), K::code(Delete)] RemoveNetwork "remove" "remove the network";
        [K::char('P')] PruneNetworks "prune" "remove the networks that no container is on";
        [K::char('i')] ShowInspect "inspect" "inspect it";
        [K::char('t')] ShowDetails "details" "show its details";
        [K::char('/')] Filter "filter" "filter the drawing";
        [K::char('h'), K::code(Left)] GoLeft "" "to the connection, then to its network";
        [K::char('l'), K::code(Right)] GoRight "" "to the first connection, then to its container";
        [K::char('y')] CopyName "" "copy its name";
        [K::char('Y')] CopyId "" "copy its id";
    Charts:
        [K::char('t')] TimeTravel "past" "show everything as it was, or as it is again";
        [K::char('T')] JumpToTime "" "go back to a time";
        [K::code(Left)] CursorLeft "read" "read the values of an instant, and go back in time";
        [K::code(Right)] CursorRight "" "forward in time";
        [K::char('{')] FarLeft "" "far back in time";
        [K::char('}')] FarRight "" "far forward in time";
        [K::char('f')] Freeze "hold" "hold the charts, or let them go on";
        [K::char('z')] ZoomChart "zoom" "one chart alone, or all";
        [K::char('n')] NextChart "" "next chart";
        [K::char('N')] PreviousChart "" "previous chart";
        [K::char('>')] LongerWindow "longer" "charts of a longer time";
        [K::char('<')] ShorterWindow "" "charts of a shorter time";
    Events:
        [K::code(Enter)] GoToObject "go to it" "go to what it happened to";
        [K::char('/')] Filter "filter" "filter the events";
        [K::char('p')] HoldEvents "hold" "hold what is shown, or let it go on";
        [K::char('x')] ShowPrograms "programs" "show programs that run inside of containers, or not";
        [K::char('y')] CopyName "" "copy the object's name";
        [K::char('Y')] CopyId "" "copy the object's id";
    System:
        [K::char('u')] UseHost "use" "show this host's images, volumes and networks";
        [K::char('c')] HostOnOff "connect" "disconnect from a host, or connect";
        [K::char('d'), K::char('P')] PruneKind "prune" "remove what nobody uses of this kind";
        [K::char('r')] Refresh "measure" "measure again";
    Logs:
        [K::char('/')] Search "search" "search with a regular expression";
        [K::char('n')] NextMatch "" "next match";
        [K::char('N')] PreviousMatch "" "previous match";
        [K::char('F')] OnlyMatching "only" "show only matching lines, or all";
        [K::char('f')] Follow "follow" "follow new lines";
        [K::char('w')] Wrap "wrap" "wrap long lines";
        [K::char('t')] Timestamps "time" "show the time of each line";
        [K::code(Right)] ScrollRight "" "scroll right";
        [K::code(Left)] ScrollLeft "" "scroll left";
        [K::char('s')] SaveLog "save" "save the log to a file";
        [K::code(Enter)] OpenLine "" "all of the line, or the menu";
        [K::char('z')] RawLines "" "JSON as it was written, or folded";
        [K::char('y')] CopyLine "copy" "copy the record, or the selected lines";
        [K::char('Y')] CopyScreen "" "copy the lines on the screen";
        [K::char(' ')] MarkLine "" "select lines from here on";
        [K::char('T')] LogsAt "at" "jump to a time";
        [K::char('<')] EarlierBar "" "back by a bar of the histogram";
        [K::char('>')] LaterBar "" "on by a bar of the histogram";
        [K::char('m')] MergeLogs "" "one log again, or those of the marked by time";
        [K::char('0')] LogsTail "" "all of it, from its end";
        [K::char('1')] LogsHead "" "all of it, from its start";
        [K::char('2')] Logs1m "" "the last minute";
        [K::char('3')] Logs5m "" "the last 5 minutes";
        [K::char('4')] Logs15m "" "the last 15 minutes";
        [K::char('5')] Logs30m "" "the last 30 minutes";
        [K::char('6')] Logs1h "" "the last hour";
    Inspect:
        [K::char('/')] Search "search" "search in names and values";
        [K::char('n')] NextMatch "" "next match";
        [K::char('N')] PreviousMatch "" "previous match";
        [K::char(' ')] Fold "fold" "fold or unfold";
        [K::code(Left)] FoldIn "" "fold, or go to the parent";
        [K::code(Right)] FoldOut "" "unfold, or go to the first child";
        [K::char('z')] FoldAll "fold all" "fold or unfold everything";
        [K::char('y')] CopyValue "copy" "copy the value";
        [K::char('Y')] CopyPath "path" "copy the path";
        [K::char('v')] Secrets "" "show or hide secret values";
        [K::char('w')] ReadValue "" "read all of the value";
        [K::char('D')] DiffTree "diff" "compare with a marked container, or with the image";
    Shell:
        [K::ctrl(']')] ShellKeys "then a key of the dashboard's" "the next key is the dashboard's";
    ShellKeys:
        [K::char('d'), K::code(Esc)] LeaveShell "leave it running" "leave it running";
        [K::char('x')] EndShell "end it" "end it";
        [K::char('z')] ZoomShell "zoom" "all the room, or the list beside it";
        [K::char('['), K::code(PageUp)] ShellBack "back" "look back, a page at a time";
        [K::char('{'), K::code(PageDown)] ShellForth "" "forward again";
        [K::char('s')] ListShells "list" "the shells that are open";
        [K::char('n')] NextShell "next" "the next of them";
        [K::char('p')] PreviousShell "" "the previous of them";
        [K::char('c')] NewShell "new" "one more shell in this container";
        [K::ctrl(']')] SendPrefix "" "the key itself, to the program";
        [K::char('?')] Help "help" "this help; any other Ctrl key goes to the program";
    Detail:
        [K::char('l')] NextTab "" "next tab";
        [K::char('h')] PreviousTab "" "previous tab";
    Tabs:
        [K::char('i')] ShowInspect "" "inspect it";
        [K::char('t')] ShowTop "" "show its processes";
        [K::char('c')] ShowStats "" "show its charts";
        [K::char('H')] ShowHealth "" "show what its probes say";
    Move:
        [K::char('j'), K::code(KeyCode::Down)] Down "" "down";
        [K::char('k'), K::code(KeyCode::Up)] Up "" "up";
        [K::char('g'), K::code(Home)] First "" "to the start";
        [K::char('G'), K::code(End)] Last "" "to the end";
        [K::ctrl('d')] HalfDown "" "half a page down";
        [K::ctrl('u')] HalfUp "" "half a page up";
        [K::code(PageDown), K::ctrl('f')] PageDown "" "a page down";
        [K::code(PageUp), K::ctrl('b')] PageUp "" "a page up";
    Global:
        [K::code(Enter)] Menu "menu" "menu of what can be done here";
        [K::char(':')] Palette "" "find any action by name";
        [K::char('?')] Help "help" "this help";
        [K::code(Esc)] Back "" "back";
        [K::char('1')] ScreenContainers "" "containers";
        [K::char('2')] ScreenImages "" "images";
        [K::char('3')] ScreenVolumes "" "volumes";
        [K::char('4')] ScreenNetworks "" "networks";
        [K::char('5')] ScreenEvents "" "events";
        [K::char('6')] ScreenSystem "" "system";
        [K::code(Tab)] NextScreen "" "next screen";
        [K::code(BackTab)] PreviousScreen "" "previous screen";
        [K::char(']')] NextTab "" "next tab";
        [K::char('[')] PreviousTab "" "previous tab";
        [K::char('+')] ZoomIn "" "more room for the tab";
        [K::char('_'), K::char('-')] ZoomOut "" "more room for the list";
        [K::char('{')] TravelBack "" "while the past is shown: further back";
        [K::char('}')] TravelOn "" "while the past is shown: forward";
        [K::ctrl('w')] NextPane "" "keys to the next pane";
        [K::ctrl('p')] PreviousPane "" "keys to the previous pane";
        [K::char('\\')] MorePanes "" "a further pane, where there is room";
        [K::char('|')] FewerPanes "" "one pane fewer";
        [K::char('@')] ChooseHost "" "choose a host";
        [K::char('$')] ListShells "" "the shells that are open";
        [K::char('E')] ShowErrors "" "show past errors in full";
        [K::char('M')] ToggleMouse "" "leave the mouse to the terminal, or take it back";
        [K::ctrl('y')] CopyCommand "" "copy the command line of the last change";
        [K::ctrl('l')] Redraw "" "draw the screen anew";
        [K::ctrl('z')] Suspend "" "suspend";
        [K::char('q')] Quit "quit" "quit";
    Line:
        [K::code(Enter)] Accept "keep" "keep it";
        [K::code(Esc)] Cancel "cancel" "cancel";
        [K::ctrl('u')] EraseLine "" "erase the line";
        [K::ctrl('w')] EraseWord "" "erase a word";
    Prompt:
        [K::code(Enter)] Accept "ok" "ok";
        [K::code(Esc)] Cancel "cancel" "cancel";
        [K::ctrl('u')] EraseLine "" "erase the line";
        [K::ctrl('w')] EraseWord "" "erase a word";
    Form:
        [K::code(Enter)] Accept "start" "start the container";
        [K::code(Esc)] Cancel "cancel" "cancel";
        [K::code(Tab), K::code(KeyCode::Down)] NextChoice "next" "next field";
        [K::code(BackTab), K::code(KeyCode::Up)] PreviousChoice "" "previous field";
        [K::ctrl('y')] CopyCommand "copy" "copy the command line";
        [K::ctrl('u')] EraseLine "erase" "erase the field";
        [K::ctrl('w')] EraseWord "" "erase a word";
    Transfer:
        [K::code(Esc), K::char('q'), K::code(Enter)] Cancel "leave it running" "close; it goes on";
        [K::char('x')] CancelTransfer "give up" "give it up";
        [K::char('j'), K::code(KeyCode::Down)] Down "" "scroll down";
        [K::char('k'), K::code(KeyCode::Up)] Up "" "scroll up";
    Columns:
        [K::char(' ')] Toggle "show" "show the column or not";
        [K::char('J'), K::char('>')] MoveDown "move" "move it to the right";
        [K::char('K'), K::char('<')] MoveUp "" "move it to the left";
        [K::char('o')] Sort "sort" "sort by it, or the other way round";
        [K::char('j'), K::code(KeyCode::Down)] NextChoice "" "next";
        [K::char('k'), K::code(KeyCode::Up)] PreviousChoice "" "previous";
        [K::code(Enter)] Accept "ok" "show these columns";
        [K::code(Esc), K::char('q')] Cancel "cancel" "leave them as they are";
    Palette:
        [K::code(Enter)] Accept "run" "do it";
        [K::code(Esc)] Cancel "cancel" "cancel";
        [K::code(KeyCode::Down), K::ctrl('n'), K::ctrl('j')] NextChoice "" "next";
        [K::code(KeyCode::Up), K::ctrl('p'), K::ctrl('k')] PreviousChoice "" "previous";
        [K::code(Tab)] Complete "" "take the name of the selected one";
        [K::ctrl('u')] EraseLine "" "erase the line";
        [K::ctrl('w')] EraseWord "" "erase a word";
    Menu:
        [K::ctrl('y')] CopyCommand "" "copy the command line that does the same";
        [K::code(Enter)] Accept "do it" "do it";
        [K::code(Esc), K::char('q')] Cancel "cancel" "cancel";
        [K::char('j'), K::code(KeyCode::Down)] NextChoice "" "next";
        [K::char('k'), K::code(KeyCode::Up)] PreviousChoice "" "previous";
        [K::code(PageDown)] PageDown "" "a page down";
        [K::code(PageUp)] PageUp "" "a page up";
        [K::code(Home)] First "" "to the start";
        [K::code(End)] Last "" "to the end";
    Confirm:
        [K::ctrl('y')] CopyCommand "copy" "copy the command line that does the same";
        [K::code(Enter)] Accept "choose" "take the chosen answer";
        [K::code(Esc), K::char('q')] Cancel "cancel" "cancel";
        [K::code(Right), K::code(Tab), K::char('l')] NextChoice "" "next answer";
        [K::code(Left), K::code(BackTab), K::char('h')] PreviousChoice "" "previous answer";
        [K::char('y')] AnswerYes "yes" "yes";
        [K::char('n')] AnswerNo "no" "no";
        [K::char('j'), K::code(KeyCode::Down)] Down "" "scroll down";
        [K::char('k'), K::code(KeyCode::Up)] Up "" "scroll up";
    Reader:
        [K::code(Esc), K::char('q'), K::char('?'), K::code(Enter)] Cancel "close" "close";
        [K::char('j'), K::code(KeyCode::Down)] Down "scroll" "down";
        [K::char('k'), K::code(KeyCode::Up)] Up "" "up";
        [K::code(PageDown), K::char(' '), K::ctrl('d')] PageDown "" "a page down";
        [K::code(PageUp), K::ctrl('u')] PageUp "" "a page up";
        [K::char('g'), K::code(Home)] First "" "to the start";
        [K::char('G'), K::code(End)] Last "" "to the end";
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn no_key_is_bound_twice_in_a_context() {
        for (n, a) in KEYMAP.iter().enumerate() {
            assert!(!a.keys.is_empty() && !a.text.is_empty(), "{a:?}");
            for b in KEYMAP.iter().skip(n + 1).filter(|b| b.context == a.context) {
                assert!(!a.keys.iter().any(|k| b.keys.contains(k)), "{a:?} {b:?}");
            }
        }
    }

    fn all() -> Keymap {
        Keymap::new(false, &Config::default())
    }

    fn read_only() -> Keymap {
        let command = crate::config::Custom {
            name: "own".to_owned(),
            key: None,
            on: Context::Containers,
            run: "true".to_owned(),
            confirm: false,
        };
        Keymap::new(true, &Config { commands: vec![command], ..Config::default() })
    }

    #[test]
    fn reading_only_leaves_nothing_that_changes_anything() {
        assert!(read_only().bindings().all(|b| !b.action.changes()));
        assert!(all().bindings().any(|b| b.action.changes()));
        let key = Key::char('s');
        assert_eq!(read_only().lookup(&[Context::Containers], key), None);
        assert_eq!(all().lookup(&[Context::Containers], key), Some(Action::Stop));
    }

    #[test]
    fn shift_does_not_hide_a_character() {
        let event = KeyEvent::new(KeyCode::Char('S'), KeyModifiers::SHIFT);
        assert_eq!(Key::of(&event), Key::char('S'));
    }
}
