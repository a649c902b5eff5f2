//! `update`: other limits for containers, running or not.

use std::cell::RefCell;

use wharf_model::{Command, Outcome, UpdateOptions};

use crate::args::resources::{self, CHANGEABLE};
use crate::args::{Arity, Flag, Group, UsageError, Verb, parse};
use crate::call::{Call, Failure, each};

const RESTART: &[Flag] = &[Flag::value(
    "restart",
    "string",
    "Restart policy: no, always, unless-stopped or on-failure[:RETRIES]",
)];

pub(crate) static VERB: Verb = UPDATE;

const UPDATE: Verb = Verb {
    name: "update",
    paths: &["container update"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Change the limits of one or more containers",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[CHANGEABLE, RESTART],
    missing: &[("kernel-memory", None)],
    run,
};

/// The same for a container that is known already.
static FLAGS: Verb = Verb { arity: Arity::Any, ..UPDATE };

/// Understands the flags of `update`, for the dashboard.
///
/// # Errors
/// What the verb would complain of.
pub(crate) fn understand(words: &[String]) -> Result<UpdateOptions, String> {
    let parsed = parse(&FLAGS, words).map_err(|error| match error {
        UsageError::Flag(message) | UsageError::Arguments(message) => message,
    })?;
    if let Some(word) = parsed.arguments.first() {
        return Err(format!("{word}: these are flags of `wharf update`, each with its value"));
    }
    if VERB.all_flags().all(|flag| parsed.last(flag.long).is_none()) {
        return Err("nothing is to be changed: --cpus 1.5 --memory 512m".to_owned());
    }
    resources::update(&parsed).map_err(|failure| failure.message().to_owned())
}

fn run(call: &Call) -> anyhow::Result<i32> {
    let options = resources::update(&call.parsed)?;
    if VERB.all_flags().all(|flag| call.parsed.last(flag.long).is_none()) {
        let text = "you must provide one or more flags when using this command";
        return Err(Failure::new(1, text).into());
    }
    call.over_engine(async |backend| {
        let warnings = RefCell::new(Vec::new());
        let code = each(&call.parsed.arguments, async |name| {
            let options = Box::new(options.clone());
            let command = Command::Update { container: name.to_owned(), options };
            if let Outcome::Updated { warnings: more } = backend.execute(command).await? {
                warnings.borrow_mut().extend(more);
            }
            Ok(name.to_owned())
        })
        .await;
        for warning in warnings.take() {
            crate::notice(&warning);
        }
        code
    })
}
