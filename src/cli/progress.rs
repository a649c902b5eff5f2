//! The steps of a pull or a push as docker prints them: on a terminal a line for each layer, redrawn;
//! elsewhere a line for each step.

use std::collections::HashMap;
use std::io;
use std::mem::{Discriminant, discriminant};
use std::os::fd::AsFd;

use futures_util::StreamExt;
use rustix::termios::isatty;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wharf_backend::TransferStream;
use wharf_inspect::human;
pub(crate) use wharf_inspect::transfer::Way;
use wharf_inspect::transfer::{safe, words};
use wharf_model::{LayerState, TermSize, TransferEvent};

use crate::call::{Failure, print};
use crate::session::terminal;

/// Signals that end a pull or a push, in order.
const ENDING: [i32; 3] = [1, 2, 15];

/// A terminal narrower than this has no room for a bar.
const NARROW: u16 = 110;

/// Cells of a bar.
const BAR: usize = 50;

/// Where steps are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Nowhere.
    Nobody,
}

/// Tells the steps of a pull or a push until its end.
///
/// # Errors
/// When it fails, nobody reads any more, or a signal ends it.
pub(crate) async fn follow(mut stream: TransferStream, way: Way, to: To) -> anyhow::Result<()> {
    let mut lines = Lines::new(way, to);
    let mut signals: Vec<(i32, Signal)> = Vec::new();
    for number in ENDING {
        signals.push((number, signal(SignalKind::from_raw(number))?));
    }
    loop {
        let ended = std::future::poll_fn(|context| {
            for (number, signal) in &mut signals {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        });
        let event = tokio::select! {
            event = stream.next() => event,
            number = ended => return Err(Failure::cancelled(128 + number).into()),
        };
        match event {
            Some(event) => lines.show(&event?)?,
            None => return Ok(()),
        }
    }
}

/// The lines that have been written.
struct Lines {
    way: Way,
    to: To,
    /// Only of a terminal.
    size: Option<TermSize>,
    /// Lines from the first that may be redrawn on, and where each layer's is.
    count: usize,
    places: HashMap<String, usize>,
    /// The last step of each layer that was told.
    told: HashMap<String, Discriminant<LayerState>>,
}

impl Lines {
    fn new(way: Way, to: To) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let size = match to {
            // What tests of command lines see is no matter of where they run.
            _ if cfg!(test) => None,
            To::Stdout if isatty(out.as_fd()) => terminal::size(out.as_fd()),
            To::Stderr if isatty(err.as_fd()) => terminal::size(err.as_fd()),
            _ => None,
        };
        Self { way, to, size, count: 0, places: HashMap::new(), told: HashMap::new() }
    }

    fn show(&mut self, event: &TransferEvent) -> io::Result<()> {
        let text = match event {
            TransferEvent::Layer { layer, state } => return self.layer(layer, state),
            TransferEvent::Note(text) => text.clone(),
            // Whoever wants to hear nothing of the rest has to hear this.
            TransferEvent::Warning(text) => {
                self.end_of_lines();
                crate::notice(&safe(text));
                return Ok(());
            }
            TransferEvent::Pulled(pulled) => format!("Digest: {}", pulled.digest),
            TransferEvent::Ended { reference, newer: true } => {
                format!("Status: Downloaded newer image for {reference}")
            }
            TransferEvent::Ended { reference, newer: false } => {
                format!("Status: Image is up to date for {reference}")
            }
            TransferEvent::Pushed(pushed) => {
                format!("{}: digest: {} size: {}", pushed.tag, pushed.digest, pushed.size)
            }
            _ => return Ok(()),
        };
        self.end_of_lines();
        self.write(&format!("{}\n", safe(&text)))
    }

    /// What is above stays as it is; the next image's layers have lines of their own.
    fn end_of_lines(&mut self) {
        self.places.clear();
        self.told.clear();
        self.count = 0;
    }

    /// Looks whether the terminal has another size now: lines that were too long for it have been wrapped
    /// then, so that nobody knows where they are.
    fn measure(&mut self) {
        let now = match (self.size, self.to) {
            (None, _) | (_, To::Nobody) => None,
            (_, To::Stdout) => terminal::size(io::stdout().as_fd()),
            (_, To::Stderr) => terminal::size(io::stderr().as_fd()),
        };
        if let Some(now) = now {
            if self.size.is_some_and(|size| size.columns > now.columns) {
                self.places.clear();
                self.count = 0;
            }
            self.size = Some(now);
        }
    }

    fn layer(&mut self, layer: &str, state: &LayerState) -> io::Result<()> {
        self.measure();
        let Some(size) = self.size else {
            // Counts are for eyes only.
            let counts = matches!(
                state,
                LayerState::Downloading { .. }
                    | LayerState::Extracting { .. }
                    | LayerState::Uploading { .. }
            );
            let kind = discriminant(state);
            if counts || self.told.insert(layer.to_owned(), kind) == Some(kind) {
                return Ok(());
            }
            return self.write(&format!("{}: {}\n", safe(layer), words(self.way, state)));
        };
        let text = format!("{}: {}", safe(layer), drawn(self.way, state, size.columns));
        let text: String = text.chars().take(usize::from(size.columns).saturating_sub(1)).collect();
        let Some(place) = self.places.get(layer) else {
            self.places.insert(layer.to_owned(), self.count);
            self.count += 1;
            return self.write(&format!("{text}\n"));
        };
        let up = self.count - place;
        if up >= usize::from(size.rows) {
            // It has left the screen, and what is there is another layer's.
            return Ok(());
        }
        self.write(&format!("\x1b[{up}A\r\x1b[2K{text}\r\x1b[{up}B"))
    }

    fn write(&self, text: &str) -> io::Result<()> {
        match self.to {
            To::Nobody => Ok(()),
            To::Stdout => print(text),
            To::Stderr => {
                if self.size.is_some() {
                    // Nobody is left to see it if standard error is closed.
                    let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
                } else {
                    crate::notice(text.trim_end_matches('\n'));
                }
                Ok(())
            }
        }
    }
}

/// Returns docker's words for a step with its bar, as far as there is room.
fn drawn(way: Way, state: &LayerState, columns: u16) -> String {
    let words = words(way, state);
    let (done, total) = match state {
        LayerState::Downloading { done, total }
        | LayerState::Extracting { done, total }
        | LayerState::Uploading { done, total } => (*done, *total),
        _ => return words,
    };
    let count = match total {
        Some(total) => format!("{:>8}/{}", human::size(done.min(total)), human::size(total)),
        None => format!("{:>8}", human::size(done)),
    };
    let Some(total) = total.filter(|total| columns > NARROW && *total > 0) else {
        return format!("{words} {count}");
    };
    let cells = u64::try_from(BAR).unwrap_or(0);
    let full = usize::try_from(u128::from(done.min(total)) * u128::from(cells) / u128::from(total));
    let full = full.unwrap_or(BAR);
    format!("{words} [{}>{}] {count}", "=".repeat(full), " ".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_in_docker_s_words() {
        let state = LayerState::Downloading { done: 1_048_576, total: Some(3_145_728) };
        assert_eq!(drawn(Way::Pull, &state, 80), "Downloading  1.049MB/3.146MB");
        let bar = format!("[{}>{}]", "=".repeat(16), " ".repeat(34));
        assert_eq!(drawn(Way::Pull, &state, 120), format!("Downloading {bar}  1.049MB/3.146MB"));
        assert_eq!(words(Way::Push, &LayerState::Exists), "Layer already exists");
        assert_eq!(words(Way::Pull, &LayerState::Retrying { seconds: 1 }), "Retrying in 1 second");
        let mounted = LayerState::Mounted { from: "a\x1b[2Jb".to_owned() };
        assert_eq!(words(Way::Push, &mounted), "Mounted from a[2Jb");
    }
}
