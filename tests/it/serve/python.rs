//! The Python SDK: as Debian has it, and as PyPI has it by now.

use std::process::Command;

use super::Served;
use crate::harness::{PATIENCE, Test, folder, run};

pub(crate) fn tests() -> Vec<Test> {
    let lacks = match python(None).args(["-c", "import docker"]).output() {
        Ok(out) if out.status.success() => None,
        _ => Some("python3-docker isn't installed".to_owned()),
    };
    let newest = std::env::var("WHARF_TEST_SDK").ok();
    let lacks_newest =
        newest.is_none().then(|| "WHARF_TEST_SDK names no folder with it".to_owned());
    vec![
        Test::new("python_drives_containers", || drives(None)).needing(lacks),
        Test::new("python_s_newest_sdk_drives_containers", move || drives(newest.as_deref()))
            .needing(lacks_newest),
    ]
}

/// Debian's own, whatever else is found before it, with the SDK in a folder or its own.
fn python(sdk: Option<&str>) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    match sdk {
        Some(folder) => command.env("PYTHONPATH", folder),
        None => command.env_remove("PYTHONPATH"),
    };
    command
}

fn drives(sdk: Option<&str>) {
    let served = Served::new();
    let place = folder();
    let script = place.join("client.py");
    std::fs::write(&script, include_str!("client.py")).unwrap();
    let mut command = python(sdk);
    command.arg(&script).arg(served.host()).arg(PATIENCE.as_secs().to_string());
    command.env("DOCKER_CONFIG", "/nonexistent").env_remove("DOCKER_HOST");
    let out = run(command, b"");
    assert_eq!((out.code, out.stdout.as_str()), (0, "all is well\n"), "{}", out.stderr);
    std::fs::remove_dir_all(&place).unwrap();
}
