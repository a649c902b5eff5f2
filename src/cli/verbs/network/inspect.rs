//! `network inspect`: docker's documents of networks.

use crate::args::{Arity, Flag, Group, Verb};
use crate::verbs::inspect::{FORMAT, Kind, run};

pub(crate) static VERB: Verb = Verb {
    name: "network inspect",
    paths: &["network inspect"],
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Show everything known of networks",
    group: Group::System,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[FORMAT, Flag::switch("verbose", "More, of networks of a cluster").short('v')]],
    missing: &[],
    run: |call| run(call, Kind::Network),
};
