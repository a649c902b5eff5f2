//! `network reach`: whether a container reaches something, and if not, why. Docker has no such
//! verb.

use anyhow::anyhow;
use wharf_model::ReachQuestion;

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, Failure, print_line};

pub(crate) static VERB: Verb = Verb {
    name: "network reach",
    paths: &["network reach"],
    usage: "FROM TO PORT",
    about: "Try whether a container reaches another, a name or an address on a TCP port, and \
            say why not (wharf's own; docker has no such verb)",
    group: Group::Observe,
    arity: Arity::Exactly(3),
    interspersed: true,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let argument = |index| call.parsed.argument(index).unwrap_or_default().to_owned();
    let port = argument(2);
    let Ok(port @ 1..) = port.parse::<u16>() else {
        let text = format!("invalid port {port:?}: a number from 1 to 65535 is wanted");
        return Err(Failure::usage(text).into());
    };
    let question = ReachQuestion { from: argument(0), to: argument(1), port };
    if question.from.is_empty() || question.to.is_empty() {
        return Err(anyhow!("both sides must be named"));
    }
    call.over_engine(async |backend| {
        let answer = backend.reach(&question).await?;
        for step in &answer.steps {
            print_line(step)?;
        }
        if answer.reached {
            let ms = answer.micros as f64 / 1000.0;
            print_line(&format!("yes, connected within {ms:.2} ms"))?;
        }
        Ok(i32::from(!answer.reached))
    })
}
