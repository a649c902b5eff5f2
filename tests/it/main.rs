//! The tests that need the real kernel, the real binary, a real terminal or a real dockerd: one
//! program, because linking dominates.
//!
//! It takes the arguments of Rust's own test programs. It has its own `main`, since a process that
//! links the engine must be able to become a supervisor or an init. `WHARF_BIN` names the binary to
//! test (by default the one cargo built), `WHARF_TEST_DIR` where the tests keep their files; both
//! are read when it runs, so that the same program also runs inside the virtual machine.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod arch;
mod attacks;
mod audit;
mod beside_docker;
mod check;
mod clocks;
mod contract;
mod copy;
mod copy_attacks;
mod copy_docker;
mod crowd;
mod dashboard;
mod dashboard_frame;
mod dashboard_images;
mod dashboard_objects;
mod dashboard_operator;
mod dashboard_shell;
mod dashboard_viewer;
mod dockerd;
mod engines;
mod faults;
mod faults_disk;
mod faults_host;
mod harness;
mod health;
mod hosts;
mod images_kept;
mod isolation;
mod isolation_net;
mod kills;
mod limits;
mod logging;
mod missing_calls;
mod names;
mod network_settings;
mod networks;
mod networks_docker;
mod oci;
mod ports;
mod probe;
mod pty;
mod reach;
mod recorder;
mod registry;
mod remap;
mod restart;
mod rootless;
mod same_as_docker;
mod serve;
mod sides;
mod spaces;
mod verbs_attach;
mod verbs_format;
mod verbs_image;
mod verbs_io;
mod verbs_life;
mod verbs_list;
mod verbs_net;
mod verbs_run;
mod verbs_tty;
mod volumes;
mod volumes_data;

use std::ffi::OsString;
use std::process::ExitCode;

use harness::Test;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = missing_calls::hidden_mode(&words) {
        return code;
    }
    if let Some(code) = wharf_engine::hidden_mode(&words) {
        std::process::exit(code);
    }
    let arguments = libtest_mimic::Arguments::from_args();
    harness::remember_panics();
    let modules: Vec<(&str, Vec<Test>)> = vec![
        ("arch", arch::tests()),
        ("attacks", attacks::tests()),
        ("beside_docker", beside_docker::tests()),
        ("check", check::tests()),
        ("clocks", clocks::tests()),
        ("contract", contract::tests()),
        ("crowd", crowd::tests()),
        ("copy", copy::tests()),
        ("copy_attacks", copy_attacks::tests()),
        ("copy_docker", copy_docker::tests()),
        ("dashboard", dashboard::tests()),
        ("dashboard_frame", dashboard_frame::tests()),
        ("dashboard_images", dashboard_images::tests()),
        ("dashboard_objects", dashboard_objects::tests()),
        ("dashboard_shell", dashboard_shell::tests()),
        ("dashboard_operator", dashboard_operator::tests()),
        ("dashboard_viewer", dashboard_viewer::tests()),
        ("engines", engines::tests()),
        ("faults", faults::tests()),
        ("faults_disk", faults_disk::tests()),
        ("faults_host", faults_host::tests()),
        ("health", health::tests()),
        ("isolation", isolation::tests()),
        ("isolation_net", isolation_net::tests()),
        ("kills", kills::tests()),
        ("limits", limits::tests()),
        ("ports", ports::tests()),
        ("reach", reach::tests()),
        ("recorder", recorder::tests()),
        ("registry", registry::tests()),
        ("remap", remap::tests()),
        ("rootless", rootless::tests()),
        ("verbs_format", verbs_format::tests()),
        ("logging", logging::tests()),
        ("names", names::tests()),
        ("network_settings", network_settings::tests()),
        ("networks", networks::tests()),
        ("networks_docker", networks_docker::tests()),
        ("missing_calls", missing_calls::tests()),
        ("oci", oci::tests()),
        ("restart", restart::tests()),
        ("verbs_attach", verbs_attach::tests()),
        ("same_as_docker", same_as_docker::tests()),
        ("serve", serve::tests()),
        ("spaces", spaces::tests()),
        ("images_kept", images_kept::tests()),
        ("verbs_image", verbs_image::tests()),
        ("verbs_io", verbs_io::tests()),
        ("verbs_life", verbs_life::tests()),
        ("verbs_list", verbs_list::tests()),
        ("verbs_net", verbs_net::tests()),
        ("verbs_run", verbs_run::tests()),
        ("verbs_tty", verbs_tty::tests()),
        ("volumes", volumes::tests()),
        ("volumes_data", volumes_data::tests()),
    ];
    let trials = modules
        .into_iter()
        .flat_map(|(module, tests)| tests.into_iter().map(move |test| test.into_trial(module)))
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    harness::tell_slowest();
    conclusion.exit_code()
}
