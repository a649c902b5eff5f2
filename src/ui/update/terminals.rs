//! Terminals in containers: opening and ending them, and what is typed there.
//!
//! While a terminal has the keys, all of them are its program's, but for one: the key that the title
//! shows makes the next one the dashboard's.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent, MouseEventKind};
use ratatui::layout::Rect;
use wharf_model::{ContainerId, TermSize};

use crate::app::terminals::{MOST, Phase, Terminal, Want};
use crate::app::{
    App, Choice, Confirm, Consent, Focus, Goal, Item, Menu, Overlay, Redraw, Screen, Tab, Zoom,
};
use crate::emulator::{key_bytes, mouse_bytes, paste_bytes};
use crate::keymap::{Action, Key};
use crate::layout::layout;
use crate::message::{Effect, TerminalAsk, TerminalReply};

use super::{act, arrange, focus, lines, palette, show_screen};

/// The least room for a terminal beside other things; with less it gets all there is.
const ENOUGH: (u16, u16) = (80, 18);

/// Lines a turn of the wheel scrolls.
const WHEEL: isize = 3;

/// The longest line that is typed to a program without a terminal: what a terminal takes.
const LONGEST_LINE: usize = 4095;

/// Takes an action about terminals.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::OpenShell => open(app, false, shell(app)),
        Action::NewShell => open(app, true, shell(app)),
        Action::OpenToolbox => {
            let image = app.options.config.toolbox_image().to_owned();
            open(app, false, Want::Toolbox { image })
        }
        Action::Attach => {
            let input = !app.options.read_only;
            open(app, false, Want::Attach { input })
        }
        Action::ListShells => {
            list(app);
            Vec::new()
        }
        Action::ShellKeys => {
            app.terminals.prefix = true;
            Vec::new()
        }
        Action::LeaveShell => {
            leave(app);
            Vec::new()
        }
        Action::ZoomShell => {
            app.zoom = if app.zoom == Zoom::Detail { Zoom::Split } else { Zoom::Detail };
            focus(app, Focus::Detail);
            Vec::new()
        }
        Action::ShellBack | Action::ShellForth => {
            let rows = app.typed_to().map_or(1, |it| it.emulator.size().rows);
            let page = isize::try_from(rows.saturating_sub(1).max(1)).unwrap_or(1);
            let by = if action == Action::ShellBack { page } else { -page };
            let Some(terminal) = app.typed_to_mut() else { return Vec::new() };
            let before = terminal.emulator.back();
            terminal.emulator.look_back(by);
            if terminal.emulator.back() == before {
                let end = if by > 0 { "there is nothing above" } else { "this is the end" };
                app.tell(end);
            }
            Vec::new()
        }
        Action::NextShell => {
            step(app, 1);
            Vec::new()
        }
        Action::PreviousShell => {
            step(app, -1);
            Vec::new()
        }
        Action::EndShell => {
            ask_to_end(app);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn shell(app: &App) -> Want {
    Want::Shell { toolbox: app.options.config.toolbox_image().to_owned() }
}

/// Shows a terminal of the selected container: one that it has, unless `fresh` is asked for, or a new
/// one.
fn open(app: &mut App, fresh: bool, want: Want) -> Vec<Effect> {
    let Some(row) = app.selected() else { return Vec::new() };
    let (id, name) = (row.summary.id.clone(), row.summary.name.clone());
    let alike = |terminal: &&Terminal| match (&terminal.want, &want) {
        (Want::Shell { .. }, Want::Shell { .. }) | (Want::Attach { .. }, Want::Attach { .. }) => {
            true
        }
        (mine, wanted) => mine == wanted,
    };
    // One that has ended makes room for the next.
    let ended: Vec<u64> = app
        .terminals
        .all_of(&id)
        .filter(|terminal| !terminal.is_alive())
        .map(|terminal| terminal.number)
        .collect();
    for number in ended {
        app.terminals.remove(number);
    }
    let there = app.terminals.all_of(&id).filter(alike).max_by_key(|it| it.used);
    if let Some(number) = there.filter(|_| !fresh).map(|it| it.number) {
        app.terminals.look_at(number);
        show(app);
        return Vec::new();
    }
    if app.terminals.list.len() >= MOST {
        app.tell(format!("there are {MOST} terminals open: end one first"));
        return Vec::new();
    }
    let number = app.number();
    let size = TermSize { columns: 80, rows: 24 };
    app.terminals.add(number, (id.clone(), name), want.clone(), size);
    show(app);
    // As large as it is shown from the beginning.
    let size = room(app).unwrap_or(size);
    if let Some(terminal) = app.terminals.get_mut(number) {
        terminal.emulator.resize(size);
    }
    vec![Effect::OpenTerminal { number, container: id, want, size }]
}

/// Returns the room of the terminal in sight.
fn room(app: &App) -> Option<TermSize> {
    let pane = layout(app)?.pane(Tab::Shell)?;
    let grid = crate::view::terminal_grid(pane);
    (!grid.is_empty()).then_some(TermSize { columns: grid.width, rows: grid.height })
}

/// Brings the terminal's tab into sight and gives it the keys.
fn show(app: &mut App) {
    show_screen(app, Screen::Containers);
    if app.terminals.before.is_none() {
        app.terminals.before = Some((app.panes().clone(), app.zoom));
    }
    app.terminals.prefix = false;
    app.set_tab(Tab::Shell);
    if app.zoom == Zoom::List {
        app.zoom = Zoom::Split;
    }
    focus(app, Focus::Detail);
    let small = room(app).is_none_or(|room| room.columns < ENOUGH.0 || room.rows < ENOUGH.1);
    if small {
        app.zoom = Zoom::Detail;
        focus(app, Focus::Detail);
    }
}

/// Gives the keys back to the list; the program goes on.
fn leave(app: &mut App) {
    let zoom = app.terminals.before.as_ref().map_or(Zoom::Split, |(_, zoom)| *zoom);
    if app.zoom == Zoom::Detail {
        app.zoom = if zoom == Zoom::Detail { Zoom::Split } else { zoom };
    }
    let goes_on = app.typed_to().map(|it| match it.is_attached() {
        true => format!("left {}, which goes on as it was: A comes back", it.name),
        false => format!("{} goes on: e comes back", it.title()),
    });
    focus(app, Focus::List);
    if let Some(text) = goes_on {
        app.tell(text);
    }
}

/// Lays the panes out as they were when there is nothing left to show in one.
fn put_back(app: &mut App) {
    if app.terminals.list.is_empty()
        && let Some((panes, zoom)) = app.terminals.before.take()
    {
        let containers = Screen::Containers.number();
        if app.panes[containers].tabs().contains(&Tab::Shell) {
            app.panes[containers] = panes;
            app.zoom = zoom;
        }
        arrange(app);
    }
}

/// Goes to the next terminal, whichever container it is in.
fn step(app: &mut App, by: isize) {
    let count = app.terminals.list.len();
    let at = app.typed_to().map(|it| it.number);
    let at = app.terminals.list.iter().position(|it| Some(it.number) == at).unwrap_or(0);
    let next = at.wrapping_add_signed(by).wrapping_add(count).checked_rem(count);
    let next = next.and_then(|n| app.terminals.list.get(n)).map(|it| it.number);
    if count < 2 {
        app.tell("this is the only one");
    } else if let Some(number) = next {
        go_to(app, number);
    }
}

/// Shows a terminal, and selects its container.
pub(super) fn go_to(app: &mut App, number: u64) {
    let Some(container) = app.terminals.get(number).map(|it| it.container.clone()) else { return };
    app.terminals.look_at(number);
    // It asks for nothing but what the selection asks for.
    let _ = palette::go(app, Goal::Container(container));
    show(app);
}

/// Opens the list of what runs.
fn list(app: &mut App) {
    let item = |terminal: &Terminal| {
        let state = match &terminal.phase {
            Phase::Opening => ", starting".to_owned(),
            Phase::Running => String::new(),
            Phase::Ended(how) => format!(", {how}"),
        };
        Item {
            key: String::new(),
            text: format!("{}{state}", terminal.title()),
            choice: Choice::Shell(terminal.number),
        }
    };
    let items: Vec<Item> = app.terminals.list.iter().map(item).collect();
    let title = "Shells and attached containers".to_owned();
    app.overlays.push(Overlay::Menu(Menu { title, items, at: 0, lines: Vec::new() }));
}

fn ask_to_end(app: &mut App) {
    let Some(terminal) = app.typed_to() else { return };
    let number = terminal.number;
    if terminal.is_attached() {
        // It ends nothing.
        leave(app);
        end_now(app, number);
        return app.draw(Redraw::Now);
    }
    let confirm = Confirm {
        title: format!("End {}?", terminal.title()),
        body: vec!["What runs in it ends too. The container goes on.".to_owned()],
        verb: "End",
        consent: Consent::Cancel,
        scroll: 0,
        custom: None,
        effects: vec![Effect::Terminal { number, ask: TerminalAsk::End }],
        lines: Vec::new(),
        commands: Vec::new(),
    };
    app.overlays.push(Overlay::Confirm(confirm));
}

/// Forgets an attached container; that its connection is dropped is seen to by [`sync`].
fn end_now(app: &mut App, number: u64) {
    if let Some(terminal) = app.terminals.get_mut(number) {
        terminal.phase = Phase::Ended("detached".to_owned());
    }
}

/// Leaves the dashboard, after asking where that ends something.
pub(super) fn quit(app: &mut App) -> Vec<Effect> {
    let count = app.terminals.shells().count();
    let asked = |overlay: &Overlay| matches!(overlay, Overlay::Confirm(confirm) if confirm.effects.contains(&Effect::Quit));
    if count == 0 || app.overlays.iter().any(asked) {
        return vec![Effect::Quit];
    }
    let mut body: Vec<String> = vec!["These end with the dashboard:".to_owned()];
    body.extend(app.terminals.shells().map(|shell| format!("  {}", shell.title())));
    body.push("The containers go on.".to_owned());
    app.line = None;
    app.overlays.push(Overlay::Confirm(Confirm {
        title: if count == 1 { "End the shell?".into() } else { format!("End {count} shells?") },
        body,
        verb: "Quit",
        consent: Consent::Cancel,
        scroll: 0,
        custom: None,
        effects: vec![Effect::Quit],
        lines: Vec::new(),
        commands: Vec::new(),
    }));
    Vec::new()
}

/// Gives a key to the terminal that has the keys; none if no terminal has them.
pub(super) fn key(app: &mut App, event: &KeyEvent) -> Option<Vec<Effect>> {
    app.typed_to()?;
    if !app.overlays.is_empty() || app.line.is_some() {
        return None;
    }
    let key = Key::of(event);
    let after_prefix = app.terminals.prefix;
    // Who looks back and presses Esc wants to see the program, as in other terminals: what is typed
    // next must not be the dashboard's.
    if after_prefix
        && key.code == KeyCode::Esc
        && let Some(terminal) = app.typed_to_mut().filter(|terminal| terminal.emulator.back() > 0)
    {
        terminal.emulator.look_here();
        app.terminals.prefix = false;
        return Some(Vec::new());
    }
    if let Some(action) = app.keymap.lookup(app.contexts(), key) {
        // Looking back goes on by the same key alone.
        app.terminals.prefix = matches!(action, Action::ShellBack | Action::ShellForth);
        if action == Action::SendPrefix {
            return Some(press(app, event, true));
        }
        return Some(act::main(app, action));
    }
    app.terminals.prefix = false;
    if after_prefix && !key.modifiers.contains(KeyModifiers::CONTROL) {
        let prefix = prefix_name(app);
        if let Some(terminal) = app.typed_to_mut() {
            terminal.emulator.look_here();
        }
        app.tell(format!("{prefix} {} does nothing: {prefix} ? shows what does", key.name()));
        return Some(Vec::new());
    }
    Some(press(app, event, after_prefix))
}

/// Returns the name of the key that makes the next one the dashboard's.
pub(crate) fn prefix_name(app: &App) -> String {
    let bound = app.keymap.bindings().find(|bound| bound.action == Action::ShellKeys);
    bound.and_then(|bound| bound.keys.first()).map(|key| key.name()).unwrap_or_default()
}

/// Returns what a key does to a program whose terminal is attached to, for those that may end it.
fn danger(key: Key) -> Option<&'static str> {
    if key.modifiers != KeyModifiers::CONTROL {
        return None;
    }
    match key.code {
        KeyCode::Char('c') => Some("interrupts its first process"),
        KeyCode::Char('\\') => Some("ends its first process"),
        KeyCode::Char('d') => Some("ends its input"),
        KeyCode::Char('z') => Some("suspends its first process"),
        _ => None,
    }
}

/// Sends a key to the program. `meant` says that the user has shown to know what it does.
fn press(app: &mut App, event: &KeyEvent, meant: bool) -> Vec<Effect> {
    let (prefix, key) = (prefix_name(app), Key::of(event));
    let Some(terminal) = app.typed_to_mut() else { return Vec::new() };
    terminal.emulator.look_here();
    if !terminal.input {
        let why = if terminal.tty { "it is only looked at" } else { "its input isn't open" };
        let text = format!("{} takes no keys: {why}; {prefix} d leaves it", terminal.name);
        app.tell(text);
        return Vec::new();
    }
    if terminal.is_attached()
        && !meant
        && let Some(what) = danger(key)
    {
        let name = key.name();
        let text = format!("{name} may stop the container: {prefix} {name} {what}");
        app.tell(text);
        return Vec::new();
    }
    if !terminal.tty {
        return press_line(terminal, key);
    }
    let bytes = key_bytes(event, terminal.emulator.screen());
    send(terminal, bytes)
}

/// Takes a key for a program that has no terminal: a line is typed here, and sent as a whole.
fn press_line(terminal: &mut Terminal, key: Key) -> Vec<Effect> {
    match key.code {
        KeyCode::Enter => {
            let line = std::mem::take(&mut terminal.line) + "\n";
            terminal.emulator.feed(b"\r\n");
            return send(terminal, line.into_bytes());
        }
        KeyCode::Backspace => {
            if let Some(letter) = terminal.line.pop() {
                let cells = unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
                terminal.emulator.feed("\x08 \x08".repeat(cells).as_bytes());
            }
        }
        KeyCode::Char('d') if key.modifiers == KeyModifiers::CONTROL => {
            let number = terminal.number;
            return vec![Effect::Terminal { number, ask: TerminalAsk::EndInput }];
        }
        KeyCode::Char(c)
            if !key.modifiers.contains(KeyModifiers::CONTROL)
                && terminal.line.len() < LONGEST_LINE =>
        {
            terminal.line.push(c);
            terminal.emulator.feed(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        _ => {}
    }
    Vec::new()
}

fn send(terminal: &mut Terminal, bytes: Vec<u8>) -> Vec<Effect> {
    if bytes.is_empty() || !terminal.is_alive() {
        return Vec::new();
    }
    terminal.typed = true;
    vec![Effect::Terminal { number: terminal.number, ask: TerminalAsk::Input(bytes) }]
}

/// Gives a pasted text to the terminal that has the keys; none if no terminal has them.
pub(super) fn paste(app: &mut App, text: &str) -> Option<Vec<Effect>> {
    if !app.overlays.is_empty() || app.line.is_some() {
        return None;
    }
    let terminal = app.typed_to_mut()?;
    if !terminal.input {
        return Some(Vec::new());
    }
    terminal.emulator.look_here();
    if !terminal.tty {
        let line = text.split(['\r', '\n']).next().unwrap_or_default();
        let line = wharf_logs::sanitize_line(line).into_owned();
        if terminal.line.len() + line.len() <= LONGEST_LINE {
            terminal.emulator.feed(line.as_bytes());
            terminal.line.push_str(&line);
        }
        return Some(Vec::new());
    }
    let bytes = paste_bytes(text, terminal.emulator.screen());
    Some(send(terminal, bytes))
}

/// Takes what the mouse did in the terminal's pane; none if that isn't the terminal's affair.
pub(super) fn mouse(app: &mut App, event: MouseEvent, pane: Rect) -> Option<Vec<Effect>> {
    let grid = crate::view::terminal_grid(pane);
    let has_keys = app.typed_to().is_some();
    let wheel = match event.kind {
        MouseEventKind::ScrollUp => Some(1),
        MouseEventKind::ScrollDown => Some(-1),
        _ => None,
    };
    let id = app.selected().map(|row| row.summary.id.clone())?;
    let number = app.terminals.of(&id)?.number;
    let terminal = app.terminals.get_mut(number)?;
    let at = (event.column.checked_sub(grid.x)?, event.row.checked_sub(grid.y)?);
    let inside = at.0 < grid.width && at.1 < grid.height;
    if inside && has_keys && terminal.input && terminal.tty && terminal.emulator.back() == 0 {
        let screen = terminal.emulator.screen();
        if let Some(bytes) = mouse_bytes(event.kind, event.modifiers, at, screen) {
            return Some(send(terminal, bytes));
        }
        // A program that fills the screen has nothing above it: it is given what it scrolls with.
        if let Some(way) = wheel
            && screen.alternate_screen()
        {
            let code = if way > 0 { KeyCode::Up } else { KeyCode::Down };
            let bytes = key_bytes(&KeyEvent::new(code, KeyModifiers::NONE), screen);
            return Some(send(terminal, bytes.repeat(WHEEL.unsigned_abs())));
        }
    }
    let by = wheel? * WHEEL;
    terminal.emulator.look_back(by);
    Some(Vec::new())
}

/// Takes what a terminal's program, or its engine, says.
pub(super) fn take(app: &mut App, number: u64, reply: TerminalReply) -> Vec<Effect> {
    let seen = is_seen(app, number);
    let Some(terminal) = app.terminals.get_mut(number) else { return Vec::new() };
    match reply {
        TerminalReply::Opened { program, instead, tty, input } => {
            terminal.program = wharf_logs::sanitize_line(&program).into_owned();
            terminal.tty = tty;
            terminal.input &= input;
            if terminal.is_alive() {
                terminal.phase = Phase::Running;
            }
            if let Some(want) = instead {
                // The command line that was told would fail.
                let (container, size) = (terminal.container.clone(), terminal.emulator.size());
                let told = app.notice.clone();
                let done = Effect::OpenTerminal { number, container, want, size };
                lines::remember(app, &[done], told.as_ref());
            }
            app.draw(Redraw::Now);
            Vec::new()
        }
        TerminalReply::Output(bytes) => {
            let answers = if terminal.tty {
                terminal.emulator.feed(&bytes)
            } else {
                // What has no terminal ends its lines with a line feed alone.
                let mut lines = Vec::with_capacity(bytes.len() + 64);
                for byte in bytes {
                    if byte == b'\n' {
                        lines.push(b'\r');
                    }
                    lines.push(byte);
                }
                terminal.emulator.feed(&lines);
                Vec::new()
            };
            let answered = terminal.input && !answers.is_empty();
            if seen {
                app.draw(Redraw::Quick);
            }
            if !answered {
                return Vec::new();
            }
            vec![Effect::Terminal { number, ask: TerminalAsk::Input(answers) }]
        }
        TerminalReply::Deaf => {
            let title = terminal.title();
            app.tell(format!("{title} doesn't read what is typed: it was dropped"));
            Vec::new()
        }
        TerminalReply::Ended(result) => {
            ended(app, number, result);
            Vec::new()
        }
    }
}

/// Returns whether a terminal is on the screen.
fn is_seen(app: &App, number: u64) -> bool {
    let shown = app.selected().and_then(|row| app.terminals.of(&row.summary.id));
    app.screen == Screen::Containers
        && shown.is_some_and(|it| it.number == number)
        && layout(app).is_some_and(|layout| layout.pane(Tab::Shell).is_some())
}

fn ended(app: &mut App, number: u64, result: Result<i32, String>) {
    let had_keys = app.typed_to().is_some_and(|it| it.number == number);
    let Some(terminal) = app.terminals.get_mut(number) else { return };
    let title = terminal.title();
    let detached = matches!(&terminal.phase, Phase::Ended(how) if how == "detached");
    let opened = terminal.phase != Phase::Opening;
    match result {
        _ if detached => {}
        Ok(code) => {
            // What it said before it ended at once is worth reading.
            if code != 0 && !terminal.typed {
                terminal.phase = Phase::Ended(format!("exit code {code}"));
                app.terminals.prefix = false;
                return app.draw(Redraw::Now);
            }
            app.tell(format!("{title} has ended: exit code {code}"));
        }
        Err(why) => {
            let what = if opened { title } else { format!("open {title}") };
            app.fail(what, why);
        }
    }
    app.terminals.remove(number);
    app.terminals.prefix = false;
    if had_keys {
        let zoom = app.terminals.before.as_ref().map_or(Zoom::Split, |(_, zoom)| *zoom);
        app.zoom = zoom;
        focus(app, Focus::List);
    }
    put_back(app);
    app.draw(Redraw::Now);
}

/// Returns what follows from what is on the screen: the terminal that has the keys has the size of
/// its pane, and one that was detached from is let go.
pub(super) fn sync(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    let gone = |it: &&Terminal| it.is_attached() && it.phase == Phase::Ended("detached".to_owned());
    let gone: Vec<u64> = app.terminals.list.iter().filter(gone).map(|it| it.number).collect();
    for number in gone {
        app.terminals.remove(number);
        effects.push(Effect::Terminal { number, ask: TerminalAsk::End });
        put_back(app);
    }
    // One that is only looked at keeps its size: what is written in a narrower one is cut off.
    let (Some(size), Some(number)) = (room(app), app.typed_to().map(|it| it.number)) else {
        return effects;
    };
    let Some(terminal) = app.terminals.get_mut(number) else { return effects };
    if terminal.emulator.resize(size) && terminal.want.changes() {
        let size = terminal.emulator.size();
        effects.push(Effect::Terminal { number, ask: TerminalAsk::Resize(size) });
    }
    effects
}

/// Returns the container's id if a terminal of it is open, for the mark in the list.
pub(crate) fn is_open(app: &App, container: &ContainerId) -> bool {
    app.terminals.all_of(container).any(Terminal::is_alive)
}

/// Takes a terminal away whose program has ended, once it has been read what it said.
pub(super) fn dismiss(app: &mut App) {
    let Some(id) = app.selected().map(|row| row.summary.id.clone()) else { return };
    let ended = app.terminals.of(&id).filter(|it| !it.is_alive()).map(|it| it.number);
    if let Some(number) = ended {
        app.terminals.remove(number);
        put_back(app);
    }
}
