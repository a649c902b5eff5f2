//! The dashboard: a full-screen view of an engine, the Elm way.
//!
//! Keys, ticks and what the backend answers are [`Msg`]s on one channel. [`update()`] takes one
//! message into the [`App`] and returns the [`Effect`]s it wants; it does no I/O and never waits.
//! [`view()`] draws an `&App` and changes nothing. The runtime behind [`run`] owns the terminal
//! and the backend: it carries effects out and feeds their results back as messages.
//!
//! ```text
//! terminal, signals, clock ─┐                    ┌─> view(&App) ─> terminal
//! backend answers, samples ─┴─> Msg ─> update ───┤
//!            ^                                   └─> Effect ─> runtime ─> Backend
//!            └──────────────────────────────────────────────────┘
//! ```
//!
//! All keys are in one table, [`keymap::KEYMAP`], from which the help, the menus, the palette and
//! the hints are made. All text from containers is made safe when it enters the [`App`].

pub mod app;
pub mod config;
mod emulator;
pub mod format;
pub mod keymap;
mod layout;
mod message;
mod options;
mod runtime;
mod terminal;
mod text;
mod theme;
mod update;
mod view;

pub use app::App;
pub use message::{
    Effect, LogAsk, LogReply, Msg, Place, RawLine, ScreenTag, ShellOutput, TerminalAsk,
    TerminalReply,
};
pub use options::{
    Colors, Copier, CopyRequest, HostOptions, Look, Options, Replay, RunParser, UpdateParser,
};
pub use runtime::health::report;
pub use runtime::{Error, Exit, run};
pub use terminal::Encoder;
pub use theme::{Role, Theme};
pub use update::update;
pub use view::view;
