//! The whole dashboard over an engine that says nothing but hostile things: every key of every tab of
//! every screen. What isn't reached, or isn't decided on below, fails to compile or to pass: a new
//! tab, a new dialog, a new effect.

use std::collections::BTreeSet;

use wharf_backend::fake::{Fake, time};
use wharf_backend::{Error, Result};
use wharf_model::{ErrorKind, LayerState, Outcome, Status, TransferEvent};
use wharf_ui::app::{Chosen, Overlay, Screen, Tab};
use wharf_ui::keymap::{Action, Context, Key};
use wharf_ui::{Effect, LogAsk, LogReply, Msg, Options, ShellOutput, TerminalReply};

use super::{Hostile, Wire};
use crate::plain;
use crate::support::Desk;

/// Every kind of dialog.
const DIALOGS: [&str; 10] = [
    "help", "errors", "menu", "confirm", "prompt", "palette", "page", "transfer", "columns", "run",
];

fn dialog(overlay: &Overlay) -> &'static str {
    match overlay {
        Overlay::Help { .. } => "help",
        Overlay::Errors { .. } => "errors",
        Overlay::Menu(_) => "menu",
        Overlay::Confirm(_) => "confirm",
        Overlay::Prompt(_) => "prompt",
        Overlay::Palette(_) => "palette",
        Overlay::Page(_) => "page",
        Overlay::Transfer { .. } => "transfer",
        Overlay::Columns(_) => "columns",
        Overlay::Run(_) => "run",
    }
}

/// The dashboard, what it sends to the terminal, and what has been seen.
struct Visit {
    desk: Desk,
    wire: Wire,
    hostile: Hostile,
    dialogs: BTreeSet<&'static str>,
    tabs: BTreeSet<String>,
}

impl Visit {
    fn over(seed: u64, size: (u16, u16)) -> Self {
        let (config, _) = wharf_ui::config::read(
            "[[command]]\nname = \"own\\u001b[666m\"\nkey = \"Ctrl-n\"\nrun = \"echo {name} {image}\"\n",
        );
        let run = Some((|_| Ok(wharf_model::CreateOptions::default())) as wharf_ui::RunParser);
        let options = Options { run, ..plain().with(config) };
        let fake = Fake::demo();
        let hostile = Hostile::new(fake.clone(), seed);
        let mut desk = Desk::empty(options, size);
        (desk.fake, desk.hostile) = (fake, Some(hostile.clone()));
        desk.send(Msg::Connected);
        for tick in 1..40 {
            desk.send(Msg::Samples(desk.fake.batch(tick)));
        }
        desk.send(Msg::Tick(time(40)));
        let wire = Wire::new(size.0, size.1);
        Self { desk, wire, hostile, dialogs: BTreeSet::new(), tabs: BTreeSet::new() }
    }

    /// Draws, checks, and notes what is seen.
    fn look(&mut self, what: &str) {
        self.wire.draw(&self.desk.app, what);
        self.dialogs.extend(self.desk.app.overlays.last().map(dialog));
        self.tabs.insert(format!("{:?} {:?}", self.desk.app.screen, self.desk.app.tab()));
    }

    fn press(&mut self, key: Key, what: &str) {
        let effects = self.desk.press(key);
        for effect in effects {
            for msg in self.fate(&effect) {
                self.desk.send(msg);
            }
        }
        self.look(what);
    }

    fn error<T>(&self) -> Result<T> {
        Err(Error::new(ErrorKind::Internal, self.hostile.text()))
    }

    /// Returns what comes of an effect that the desk doesn't answer by itself.
    fn fate(&self, effect: &Effect) -> Vec<Msg> {
        let (text, bytes) = (|| self.hostile.text(), || self.hostile.bytes());
        let well = self.hostile.below(2) == 0;
        match effect {
            Effect::At { effect, .. } => self.fate(effect),
            Effect::Execute { operation, .. } => {
                let outcomes = [
                    Outcome::Done,
                    Outcome::Updated { warnings: vec![text()] },
                    Outcome::NetworksPruned { deleted: vec![text()], failed: vec![text()] },
                    Outcome::VolumesPruned {
                        deleted: vec![text()],
                        reclaimed: 7,
                        failed: vec![text()],
                    },
                    Outcome::NetworkCreated { id: text(), warnings: vec![text()] },
                ];
                let outcome = outcomes[self.hostile.below(outcomes.len())].clone();
                let result = if well { Ok(outcome) } else { self.error() };
                vec![Msg::Done { operation: *operation, result }]
            }
            Effect::Run { operation, .. } => {
                let result = if well { Ok((text(), vec![text()])) } else { self.error() };
                vec![Msg::Ran { operation: *operation, result }]
            }
            Effect::Pull { operation, .. } | Effect::Push { operation, .. } => {
                let operation = *operation;
                let events = [
                    TransferEvent::Note(text()),
                    TransferEvent::Warning(text()),
                    TransferEvent::Layer { layer: text(), state: LayerState::Waiting },
                    TransferEvent::Ended { reference: text(), newer: well },
                ];
                let told = events.map(|event| Msg::Transfer { operation, event });
                let result = if well { Ok(()) } else { self.error() };
                told.into_iter().chain([Msg::TransferEnded { operation, result }]).collect()
            }
            Effect::Shell { operation, .. } => {
                let text = String::from_utf8_lossy(&bytes().repeat(5)).into_owned();
                let output = ShellOutput { code: Some(3), text, cut: true };
                let result = if well { Ok(output) } else { Err(self.hostile.text()) };
                vec![Msg::ShellEnded { operation: *operation, result }]
            }
            Effect::SaveImages { operation, .. } | Effect::SaveVolume { operation, .. } => vec![
                Msg::Saving { operation: *operation, bytes: 7 },
                Msg::Saved { operation: *operation, result: self.error() },
            ],
            Effect::CopyFiles { operation, .. } => {
                vec![Msg::FilesCopied { operation: *operation, result: Err(text()) }]
            }
            Effect::OpenTerminal { number, .. } => {
                let opened = TerminalReply::Opened {
                    program: text(),
                    instead: None,
                    tty: true,
                    input: true,
                };
                let mut replies = vec![opened];
                replies.extend((0..9).map(|_| TerminalReply::Output(bytes())));
                let end = if well { Ok(1) } else { Err(text()) };
                replies.push(TerminalReply::Ended(end));
                let number = *number;
                replies.into_iter().map(|reply| Msg::Terminal { number, reply }).collect()
            }
            Effect::Log(LogAsk::Save { path, .. }) => {
                let generation = self.desk.app.logs.generation;
                let saved = LogReply::Saved(path.join(text()), 7);
                let reply = if well { saved } else { LogReply::Failed(text()) };
                vec![Msg::Log { generation, reply }]
            }
            // The desk answers these, through the hostile engine, or there is nothing to answer.
            Effect::Quit
            | Effect::Suspend
            | Effect::Repaint
            | Effect::Mouse(_)
            | Effect::Copy(_)
            | Effect::FetchContainers
            | Effect::FetchImages
            | Effect::FetchInfo
            | Effect::FetchDocument(_)
            | Effect::FetchRecording { .. }
            | Effect::FetchThen(_)
            | Effect::FetchHealth { .. }
            | Effect::FetchEvents
            | Effect::FetchDetails(_)
            | Effect::FetchTop(_)
            | Effect::FetchHistory(_)
            | Effect::FetchImageLayers
            | Effect::FetchLayerChanges { .. }
            | Effect::FetchImage(_)
            | Effect::Abort(_)
            | Effect::FetchNetworks
            | Effect::FetchLinks
            | Effect::TryReach(_)
            | Effect::FetchVolumes { .. }
            | Effect::FetchFiles { .. }
            | Effect::MeasureFolders { .. }
            | Effect::Compare(..)
            | Effect::FetchFile { .. }
            | Effect::Watch(_)
            | Effect::FetchUsage
            | Effect::FetchDetail(_)
            | Effect::Terminal { .. }
            | Effect::OpenLog { .. }
            | Effect::CloseLog
            | Effect::Log(_) => Vec::new(),
        }
    }

    /// Goes to a tab of a screen, with the keys in it.
    fn go(&mut self, screen: Screen, tab: Option<usize>) {
        for _ in 0..8 {
            self.press("Esc".parse().unwrap(), "on the way back");
        }
        let digit = char::from_digit(screen as u32 + 1, 10).unwrap();
        self.press(digit.to_string().parse().unwrap(), "another screen");
        let rows = &self.desk.app.containers.rows;
        let running = rows.iter().find(|row| row.summary.status == Status::Running);
        self.desk.app.containers.selected =
            running.map(|row| Chosen::Container(row.summary.id.clone()));
        self.desk.send(Msg::Samples(self.desk.fake.batch(41)));
        self.desk.send(Msg::Resize(self.desk.app.size.0, self.desk.app.size.1));
        let Some(tab) = tab else { return };
        let wanted = screen.tabs()[tab];
        for _ in 0..=screen.tabs().len() {
            if self.desk.app.tab() == wanted {
                break;
            }
            self.press("]".parse().unwrap(), "another tab");
        }
        self.press("Ctrl-w".parse().unwrap(), "its keys");
    }

    /// Presses every key that there is here, and goes on from where it leads.
    fn every_key(&mut self, place: &str) {
        let keymap = self.desk.app.keymap.clone();
        for (binding, keys) in keymap.effective(self.desk.app.contexts()) {
            let leaves = matches!(binding.action, Action::Quit | Action::Suspend);
            // Where the arrows and the other screens lead is seen from there.
            let moves = matches!(binding.context, Context::Always | Context::Global)
                && format!("{:?}", binding.action).contains("Screen");
            let Some(key) = keys.first().filter(|_| !leaves && !moves) else { continue };
            let what = format!("{place}: {} ({:?})", key.name(), binding.action);
            let (screen, tab) = (self.desk.app.screen, self.desk.app.tab());
            self.press(*key, &what);
            for next in ["x", "j", "Enter"] {
                if self.desk.app.overlays.is_empty() && self.desk.app.line.is_none() {
                    break;
                }
                self.press(next.parse().unwrap(), &format!("{what}, {next}"));
            }
            if self.desk.app.screen != screen || self.desk.app.tab() != tab {
                let at = screen.tabs().iter().position(|known| *known == tab);
                self.go(screen, at);
            }
            for _ in 0..4 {
                if self.desk.app.overlays.is_empty() && self.desk.app.line.is_none() {
                    break;
                }
                self.press("Esc".parse().unwrap(), &what);
            }
        }
    }
}

#[test]
fn whatever_an_engine_says_no_byte_of_it_reaches_the_terminal() {
    for (seed, size) in [(7, (120, 40))] {
        let mut visit = Visit::over(seed, size);
        visit.look("the start");
        for screen in Screen::ALL {
            visit.go(screen, None);
            visit.every_key(&format!("seed {seed}, {screen:?}"));
            for tab in 0..screen.tabs().len() {
                visit.go(screen, Some(tab));
                visit.every_key(&format!("seed {seed}, {screen:?} {:?}", screen.tabs()[tab]));
            }
        }
        // What ends, and what fails by itself.
        visit.go(Screen::Containers, None);
        for keys in ["e", "\x1d?", "\x1b", "E", "\x1b2p", "x\n", "\x1b6", ":own\n", "y"] {
            for key in keys.chars() {
                visit.press(crate::support::key(key.encode_utf8(&mut [0; 4])), keys);
            }
        }
        for _ in 0..64 {
            if visit.dialogs.contains("page") {
                break;
            }
            visit.go(Screen::Containers, None);
            visit.press("Ctrl-n".parse().unwrap(), "a command of one's own");
            visit.press("y".parse().unwrap(), "what it wrote");
        }
        for screen in Screen::ALL {
            for tab in screen.tabs() {
                let seen = visit.tabs.contains(&format!("{screen:?} {tab:?}"));
                assert!(seen, "{screen:?} {tab:?} was never drawn: {:?}", visit.tabs);
            }
        }
        assert!(visit.tabs.iter().any(|tab| tab.contains(&format!("{:?}", Tab::Shell))));
        for kind in DIALOGS {
            assert!(visit.dialogs.contains(kind), "no {kind} was drawn: {:?}", visit.dialogs);
        }
    }
}
