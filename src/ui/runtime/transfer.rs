//! Following a pull or a push: its steps become messages.

use futures_util::StreamExt;
use tokio::sync::mpsc;
use wharf_backend::{Result, TransferStream};
use wharf_model::{LayerState, TransferEvent};

use crate::message::Msg;

/// Follows the steps to the end, and returns the message about that.
pub(super) async fn follow(
    stream: Result<TransferStream>,
    operation: u64,
    sender: &mpsc::Sender<Msg>,
) -> Msg {
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => return Msg::TransferEnded { operation, result: Err(error) },
    };
    while let Some(step) = stream.next().await {
        match step {
            Ok(event) => {
                let passing = is_passing(&event);
                let msg = Msg::Transfer { operation, event };
                // A number that nobody has room for may be lost: a newer one comes.
                let gone = match passing {
                    true => {
                        matches!(sender.try_send(msg), Err(mpsc::error::TrySendError::Closed(_)))
                    }
                    false => sender.send(msg).await.is_err(),
                };
                if gone {
                    break;
                }
            }
            Err(error) => return Msg::TransferEnded { operation, result: Err(error) },
        }
    }
    Msg::TransferEnded { operation, result: Ok(()) }
}

/// Returns whether a step only says how far something is.
fn is_passing(event: &TransferEvent) -> bool {
    let TransferEvent::Layer { state, .. } = event else { return false };
    matches!(
        state,
        LayerState::Downloading { .. }
            | LayerState::Extracting { .. }
            | LayerState::Uploading { .. }
    )
}
