//! A small static program for what a shell in a container can't do: `probe.c`.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::{folder, lacks_programs};

/// Where a ready one is, on a machine without a C compiler.
const READY: &str = "WHARF_TEST_PROBE";

/// Returns why there can be none.
pub(crate) fn lacks() -> Option<String> {
    if std::env::var_os(READY).is_some() { None } else { lacks_programs(&["cc"]) }
}

/// The program in a folder of its own, to be bound into containers.
pub(crate) struct Probe {
    folder: PathBuf,
}

impl Probe {
    /// Returns a copy; the first call builds it.
    pub(crate) fn new() -> Self {
        static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
        let probe = Self { folder: folder() };
        let target = probe.folder.join("probe");
        let bytes = BUILT.get_or_init(|| match std::env::var_os(READY) {
            Some(ready) => std::fs::read(ready).unwrap(),
            None => {
                let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/probe.c");
                let out = Command::new("cc")
                    .args(["-static", "-O1", "-o", target.to_str().unwrap(), source])
                    .output()
                    .unwrap();
                assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
                std::fs::read(&target).unwrap()
            }
        });
        std::fs::write(&target, bytes).unwrap();
        std::fs::set_permissions(&target, std::fs::Permissions::from_mode(0o755)).unwrap();
        probe
    }

    /// Returns the `-v` that puts it at `/probe`.
    pub(crate) fn bind(&self) -> String {
        format!("{}/probe:/probe:ro", self.folder.display())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
