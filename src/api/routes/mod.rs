//! The functions of the routes, by their subjects.

pub(crate) mod archive;
pub(crate) mod attach;
pub(crate) mod containers;
pub(crate) mod create;
pub(crate) mod distribution;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod images;
pub(crate) mod life;
pub(crate) mod logs;
pub(crate) mod networks;
pub(crate) mod stats;
pub(crate) mod system;
pub(crate) mod transfer;
pub(crate) mod volumes;

use hyper::StatusCode;
use wharf_model::Outcome;

use crate::answer::Refusal;

/// Does something to its end, also when the client that asks for it goes meanwhile.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(work).await.unwrap_or_else(|cause| {
        Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the server: {cause}")))
    })
}

/// Returns the refusal of an outcome that a command doesn't have.
fn unexpected(command: &str, outcome: &Outcome) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{command} answered {outcome:?}"))
}
