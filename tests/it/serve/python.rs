//! The Python SDK, as Debian has it.

use std::process::Command;

use super::Served;
use crate::harness::{PATIENCE, Test, folder, run};

pub(crate) fn tests() -> Vec<Test> {
    let lacks = std::process::Command::new(PYTHON).args(["-c", "import docker"]).output();
    let lacks = match lacks {
        Ok(out) if out.status.success() => None,
        _ => Some("python3-docker isn't installed".to_owned()),
    };
    vec![Test::new("python_drives_containers", drives).needing(lacks)]
}

/// Debian's own, whatever else is found before it.
const PYTHON: &str = "/usr/bin/python3";

fn drives() {
    let served = Served::new();
    let place = folder();
    let script = place.join("client.py");
    std::fs::write(&script, include_str!("client.py")).unwrap();
    let mut command = Command::new(PYTHON);
    command.arg(&script).arg(served.host()).arg(PATIENCE.as_secs().to_string());
    command.env("DOCKER_CONFIG", "/nonexistent").env_remove("DOCKER_HOST");
    let out = run(command, b"");
    assert_eq!((out.code, out.stdout.as_str()), (0, "all is well\n"), "{}", out.stderr);
    std::fs::remove_dir_all(&place).unwrap();
}
