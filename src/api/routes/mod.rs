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

/// Returns the refusal of an outcome that a command doesn't have.
fn unexpected(command: &str, outcome: &Outcome) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{command} answered {outcome:?}"))
}
