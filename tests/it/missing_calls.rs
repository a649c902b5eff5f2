//! A kernel, or a sandbox around wharf, without a system call: a container runs all the same, or one
//! sentence says which call is missing and what to do.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use wharf_sys::seccomp::{Instruction, install};

use crate::audit::is_clean;
use crate::harness::{IMAGE, Lab, Out, Test, run};
use crate::tests;

/// The mode of this program that hides a system call and becomes another program.
const MODE: &str = "__without";

pub(crate) fn tests() -> Vec<Test> {
    tests![what_is_missing_is_said, what_can_be_done_without]
}

/// What hides the kernel's packet filters instead of a call.
pub(crate) const NF_TABLES: &str = "nf_tables";

/// Becomes a program for which a system call isn't there, if that is what is asked for.
pub(crate) fn hidden_mode(words: &[OsString]) -> Option<ExitCode> {
    let [mode, number, program, arguments @ ..] = words else { return None };
    if mode != MODE {
        return None;
    }
    let number = number.to_str().unwrap();
    let step = |code, jump_true, jump_false, k| Instruction { code, jump_true, jump_false, k };
    if number == NF_TABLES {
        // Is it socket(AF_NETLINK, _, NETLINK_NETFILTER)? EPROTONOSUPPORT, else go on.
        let filter = [
            step(0x20, 0, 0, 0),
            step(0x15, 0, 5, 41),
            step(0x20, 0, 0, 16),
            step(0x15, 0, 3, 16),
            step(0x20, 0, 0, 32),
            step(0x15, 0, 1, 12),
            step(0x06, 0, 0, 0x0005_0000 | 93),
            step(0x06, 0, 0, 0x7fff_0000),
        ];
        install(&filter, 0).unwrap();
        let error = Command::new(program).args(arguments).exec();
        panic!("{}: {error}", program.display());
    }
    let number = number.parse().unwrap();
    // Load the number; is it that one? ENOSYS, else go on (linux/bpf_common.h, linux/seccomp.h).
    let filter = [
        step(0x20, 0, 0, 0),
        step(0x15, 0, 1, number),
        step(0x06, 0, 0, 0x0005_0000 | 38),
        step(0x06, 0, 0, 0x7fff_0000),
    ];
    install(&filter, 0).unwrap();
    let error = Command::new(program).args(arguments).exec();
    panic!("{}: {error}", program.display());
}

/// Runs a command of an engine's without a system call.
pub(crate) fn without(lab: &Lab, number: &dyn ToString, arguments: &[&str]) -> Out {
    let inner = lab.command(arguments);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(MODE).arg(number.to_string()).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    run(command, b"")
}

const RUN: &[&str] = &["run", "--rm", "--network", "none", IMAGE, "true"];

fn what_is_missing_is_said() {
    let lab = Lab::new();
    for (name, number) in [
        ("clone3", 435),
        ("close_range", 436),
        ("openat2", 437),
        ("open_tree", 428),
        ("move_mount", 429),
        ("seccomp", 317),
        ("unshare", 272),
        ("pivot_root", 155),
        ("capset", 126),
        ("getrandom", 318),
    ] {
        let out = without(&lab, &number, RUN);
        assert_eq!(out.code, 125, "{name}: {out:?}");
        assert!(
            out.stderr.contains(&format!("there is no system call {name}, which Linux has since "))
                && out.stderr.contains("run wharf on Linux 5.10 or newer"),
            "{name}: {out:?}"
        );
        assert_eq!(out.stderr.lines().count(), 1, "{name}: {out:?}");
        assert_eq!(lab.ok(&["ps", "-aq"]), "", "nothing is left without {name}");
    }
    is_clean(&lab);
}

fn what_can_be_done_without() {
    let lab = Lab::new();
    let long = ["run", "-d", "--name", "long", "--network", "none", "-v", "/etc:/host:ro", IMAGE];
    for (name, number) in [
        ("mount_setattr", 442),
        ("memfd_create", 319),
        ("fsopen", 430),
        ("quotactl_fd", 443),
        ("faccessat2", 439),
        ("copy_file_range", 326),
        ("renameat2", 316),
        ("keyctl", 250),
        ("name_to_handle_at", 303),
        ("fallocate", 285),
        ("landlock_create_ruleset", 444),
        ("process_madvise", 440),
        ("epoll_pwait2", 441),
        ("clone", 56),
    ] {
        let out = without(&lab, &number, RUN);
        assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{name}: {out:?}");
        // And the rest of a life, begun without the call.
        let start = [&long[..], &["sleep", "1000"]].concat();
        assert_eq!(without(&lab, &number, &start).code, 0, "{name}");
        for words in [
            &["exec", "long", "true"][..],
            &["stats", "--no-stream", "long"],
            &["pause", "long"],
            &["unpause", "long"],
            &["cp", "long:/etc/passwd", "-"],
            &["diff", "long"],
            &["rm", "-f", "long"],
        ] {
            let out = without(&lab, &number, words);
            assert_eq!(out.code, 0, "{words:?} without {name}: {}", out.stderr);
        }
    }
    is_clean(&lab);
}
