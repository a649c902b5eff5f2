//! `update`: other limits for containers, running or not.

use std::cell::RefCell;

use wharf_model::{Command, Outcome};

use crate::args::resources::{self, CHANGEABLE};
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, each};

const RESTART: &[Flag] = &[Flag::value(
    "restart",
    "string",
    "Restart policy: no, always, unless-stopped or on-failure[:RETRIES]",
)];

pub(crate) static VERB: Verb = Verb {
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
