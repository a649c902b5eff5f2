//! Images on their way: pulls, pushes, and saves to a file.

use wharf_logs::sanitize_line;
use wharf_model::{LayerState, TransferEvent};

/// What a transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferKind {
    /// It comes from a registry.
    Pull,
    /// It goes to a registry.
    Push,
    /// It goes to a file.
    Save,
}

impl TransferKind {
    /// Returns the word for one that is under way.
    pub fn doing(self) -> &'static str {
        match self {
            Self::Pull => "pulling",
            Self::Push => "pushing",
            Self::Save => "saving",
        }
    }

    /// Returns the word for what was asked.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Save => "save",
        }
    }
}

/// A layer that is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovingLayer {
    /// The first digits of its digest, made safe.
    pub id: String,
    /// What it does.
    pub state: LayerState,
    /// Its bytes, once they are known.
    pub total: Option<u64>,
}

impl MovingLayer {
    /// Returns how many bytes of how many are done; none for a layer that needn't move.
    pub fn progress(&self) -> Option<(u64, u64)> {
        let total = self.total?;
        let done = match &self.state {
            LayerState::Downloading { done, .. } | LayerState::Uploading { done, .. } => *done,
            LayerState::Preparing | LayerState::Waiting | LayerState::Retrying { .. } => 0,
            LayerState::Exists | LayerState::Mounted { .. } => return None,
            _ => total,
        };
        Some((done.min(total), total))
    }
}

/// A pull, a push or a save that hasn't ended, or whose end is still looked at.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// The number of its effect and its messages.
    pub operation: u64,
    /// What it does.
    pub kind: TransferKind,
    /// With what.
    pub what: String,
    /// The last sentence about all of it.
    pub note: String,
    /// The layers, in the order in which they were heard of.
    pub layers: Vec<MovingLayer>,
    /// Bytes written so far, of a save.
    pub bytes: u64,
    /// How many bytes the images have, of a save: what is written is somewhat more.
    pub size: Option<u64>,
    /// How it ended.
    pub end: Option<Result<String, String>>,
}

impl Transfer {
    /// Returns one that begins.
    pub fn new(operation: u64, kind: TransferKind, what: String) -> Self {
        let (note, layers) = (String::new(), Vec::new());
        Self { operation, kind, what, note, layers, bytes: 0, size: None, end: None }
    }

    /// Takes a step.
    pub fn take(&mut self, event: TransferEvent) {
        match event {
            TransferEvent::Note(text) | TransferEvent::Warning(text) => {
                self.note = sanitize_line(&text).into_owned();
            }
            TransferEvent::Layer { layer, state } => {
                let id = sanitize_line(&layer).into_owned();
                let told = match &state {
                    LayerState::Downloading { total, .. }
                    | LayerState::Extracting { total, .. }
                    | LayerState::Uploading { total, .. } => *total,
                    _ => None,
                };
                match self.layers.iter_mut().find(|layer| layer.id == id) {
                    Some(layer) => {
                        layer.total = told.or(layer.total);
                        layer.state = state;
                    }
                    None => self.layers.push(MovingLayer { id, state, total: told }),
                }
            }
            TransferEvent::Pulled(pulled) => {
                self.note = format!("{}: {}", pulled.selector, pulled.digest);
            }
            TransferEvent::Pushed(pushed) => {
                self.note = format!("{}: {}", pushed.tag, pushed.digest);
            }
            TransferEvent::Ended { reference, newer } => {
                let reference = sanitize_line(&reference).into_owned();
                self.note = match newer {
                    true => format!("downloaded a newer image for {reference}"),
                    false => format!("{reference} is up to date"),
                };
            }
            _ => {}
        }
    }

    /// Returns how much of it is done, in percent; none where that can't be told.
    pub fn percent(&self) -> Option<u64> {
        let (done, total) = match self.kind {
            TransferKind::Save => (self.bytes.min(self.size?), self.size?),
            _ => self
                .layers
                .iter()
                .filter_map(MovingLayer::progress)
                .fold((0, 0), |(a, b), (done, total)| (a + done, b + total)),
        };
        (done * 100).checked_div(total)
    }

    /// Returns what the header says of it.
    pub fn summary(&self) -> String {
        let doing = self.kind.doing();
        match self.percent() {
            Some(percent) => format!("{doing} {} {percent}%", self.what),
            None => format!("{doing} {}", self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_that_of_the_layers_that_move() {
        let mut transfer = Transfer::new(1, TransferKind::Pull, "alpine:latest".to_owned());
        assert_eq!(transfer.percent(), None);
        let mut layer = |layer: &str, state| {
            let layer = layer.to_owned();
            transfer.take(TransferEvent::Layer { layer, state });
            transfer.percent()
        };
        assert_eq!(layer("a", LayerState::Exists), None);
        assert_eq!(layer("b", LayerState::Downloading { done: 25, total: Some(100) }), Some(25));
        assert_eq!(layer("c", LayerState::Downloading { done: 0, total: Some(100) }), Some(12));
        assert_eq!(layer("b", LayerState::Downloaded), Some(50));
        assert_eq!(layer("c", LayerState::Complete), Some(100));
        assert_eq!(transfer.summary(), "pulling alpine:latest 100%");
        transfer.take(TransferEvent::Note("x\u{1b}[2J".to_owned()));
        assert!(!transfer.note.contains('\u{1b}'));
    }
}
