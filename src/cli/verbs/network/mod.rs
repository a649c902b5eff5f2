//! `network …`: the verbs about networks, one a file.

mod connect;
mod create;
mod inspect;
mod ls;
mod prune;
mod reach;
mod rm;

use crate::args::Verb;

/// All of them.
pub(crate) static VERBS: [&Verb; 8] = [
    &create::VERB,
    &ls::VERB,
    &inspect::VERB,
    &connect::CONNECT,
    &connect::DISCONNECT,
    &rm::VERB,
    &prune::VERB,
    &reach::VERB,
];
