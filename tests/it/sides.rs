//! Real docker and wharf side by side: the same words to both.

use std::path::PathBuf;
use std::process::Command;

use crate::dockerd::Dockerd;
use crate::harness::{IMAGE, Lab, Out, folder, rootfs_archive, run};

/// An engine behind its command line, with the usual image.
pub(crate) enum Side {
    Wharf(Lab),
    Docker(Dockerd, PathBuf),
}

impl Side {
    /// Returns docker, which leaves the machine's network alone, and wharf.
    pub(crate) fn both() -> [Self; 2] {
        [Self::docker(Dockerd::start()), Self::wharf(Lab::empty())]
    }

    /// Returns docker with this dockerd.
    pub(crate) fn docker(dockerd: Dockerd) -> Self {
        Self::Docker(dockerd, folder()).with_image()
    }

    /// Returns wharf with this engine.
    pub(crate) fn wharf(lab: Lab) -> Self {
        Self::Wharf(lab).with_image()
    }

    fn with_image(self) -> Self {
        self.ok(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
        self
    }

    /// Returns docker's daemon.
    pub(crate) fn dockerd(&mut self) -> &mut Dockerd {
        match self {
            Self::Docker(dockerd, _) => dockerd,
            Self::Wharf(_) => panic!("wharf has none"),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Wharf(_) => "wharf",
            Self::Docker(..) => "docker",
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        match self {
            Self::Wharf(lab) => lab.command(arguments),
            Self::Docker(dockerd, config) => {
                let mut command = Command::new("docker");
                command.arg("--config").arg(config).args(["--host", &dockerd.host()]);
                command.args(arguments);
                command
            }
        }
    }

    /// Runs a command.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Out {
        run(self.command(arguments), input)
    }

    /// Runs a command that must succeed; returns its output without white space at its end.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments, b"");
        assert_eq!(out.code, 0, "{} {arguments:?}: {}", self.name(), out.stderr);
        out.stdout.trim_end().to_owned()
    }

    /// Runs a command whose output isn't text.
    #[track_caller]
    pub(crate) fn bytes(&self, arguments: &[&str]) -> Vec<u8> {
        let out = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{} {arguments:?}: {said}", self.name());
        out.stdout
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Self::Docker(_, config) = self {
            let _ = std::fs::remove_dir_all(config);
        }
    }
}
