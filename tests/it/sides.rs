//! Real docker and wharf side by side: the same words to both.

use std::path::PathBuf;
use std::process::Command;

use crate::dockerd::Dockerd;
use crate::harness::{IMAGE, Lab, Out, folder, rootfs_archive, run};
use crate::hosts::Host;

/// An engine behind its command line, with the usual image.
pub(crate) enum Side {
    Wharf(Lab),
    Docker(Dockerd, PathBuf),
}

impl Side {
    /// Returns docker, without a network, and wharf.
    pub(crate) fn both() -> [Self; 2] {
        Self::of(Dockerd::start(), Lab::empty())
    }

    /// Returns docker and wharf, each on a host of its own with networks and a firewall.
    pub(crate) fn on(docker: &Host, wharf: &Host) -> [Self; 2] {
        Self::of(Dockerd::on(docker), Lab::empty().on(wharf))
    }

    fn of(dockerd: Dockerd, lab: Lab) -> [Self; 2] {
        let sides = [Self::Docker(dockerd, folder()), Self::Wharf(lab)];
        for side in &sides {
            side.ok(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
        }
        sides
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
