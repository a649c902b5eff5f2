//! `system service`: a systemd unit that runs `boot` when the host starts.
//!
//! The unit is no daemon: it runs once and is done. Supervisors live in a cgroup of their own
//! (where there is cgroup v2), so that neither its stop nor its removal touches a container.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print_line};
use crate::target::Target;

pub(crate) static VERB: Verb = Verb {
    name: "service",
    paths: &["system service"],
    usage: "[OPTIONS] install|uninstall|status",
    about: "Start containers with the host, by a systemd unit",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[Flag::value("unit-dir", "path", "Where systemd's units are (/etc/systemd/system)")]],
    missing: &[],
    run,
};

/// Where units of the host's administrator are, `systemd.unit(5)`.
const UNITS: &str = "/etc/systemd/system";

/// The unit that wants this one.
const WANTED_BY: &str = "multi-user.target";

fn run(call: &Call) -> anyhow::Result<i32> {
    let Target::Native(paths) = &call.target else {
        return Err(Failure::new(1, "this is for wharf's own engine: leave out --host").into());
    };
    let private = !crate::target::is_default(paths);
    let folder = call.parsed.last("unit-dir").filter(|folder| !folder.is_empty());
    let service = Service {
        units: PathBuf::from(folder.unwrap_or(UNITS)),
        name: name(private.then_some(paths.root())),
        tells_systemd: folder.is_none() && Path::new("/run/systemd/system").is_dir(),
    };
    match call.parsed.argument(0).unwrap_or_default() {
        "install" => {
            let program = std::env::current_exe().context("find this program's file")?;
            service.install(&unit(&program, paths.root(), private)?)
        }
        "uninstall" => service.uninstall(),
        "status" => service.status(),
        other => Err(Failure::usage(format!(
            "unknown argument {other:?}: give install, uninstall or status"
        ))
        .into()),
    }
}

/// A unit on this host.
struct Service {
    units: PathBuf,
    name: String,
    /// Whether a systemd runs that reads these units.
    tells_systemd: bool,
}

impl Service {
    fn unit(&self) -> PathBuf {
        self.units.join(&self.name)
    }

    /// The link by which `systemctl enable` makes a unit part of the start.
    fn link(&self) -> PathBuf {
        self.units.join(format!("{WANTED_BY}.wants")).join(&self.name)
    }

    fn install(&self, text: &str) -> anyhow::Result<i32> {
        let (unit, link) = (self.unit(), self.link());
        let wants = link.parent().unwrap_or(&self.units);
        std::fs::create_dir_all(wants).with_context(|| format!("make {}", wants.display()))?;
        // Whole or not at all.
        let new = unit.with_extension("service.new");
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &unit))
            .with_context(|| format!("write {}", unit.display()))?;
        match std::os::unix::fs::symlink(&unit, &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("make {}", link.display()));
            }
            _ => {}
        }
        self.reload();
        print_line(&format!("installed {}", unit.display()))?;
        Ok(0)
    }

    fn uninstall(&self) -> anyhow::Result<i32> {
        let mut found = false;
        for path in [self.link(), self.unit()] {
            match std::fs::remove_file(&path) {
                Ok(()) => found = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("remove {}", path.display()));
                }
            }
        }
        if !found {
            return Err(
                Failure::new(1, format!("{} is not installed", self.unit().display())).into()
            );
        }
        self.reload();
        print_line(&format!("removed {}", self.unit().display()))?;
        Ok(0)
    }

    fn status(&self) -> anyhow::Result<i32> {
        let unit = self.unit();
        if !unit.exists() {
            print_line(&format!("{} is not installed", unit.display()))?;
            // What `systemctl status` ends with for a unit that isn't there.
            return Ok(4);
        }
        let enabled = if self.link().symlink_metadata().is_ok() { "enabled" } else { "disabled" };
        let mut line = format!("{} is installed, {enabled}", unit.display());
        if self.tells_systemd {
            let asked = Command::new("systemctl").args(["is-active", &self.name]).output();
            if let Ok(answer) = asked {
                line.push_str(", ");
                line.push_str(String::from_utf8_lossy(&answer.stdout).trim());
            }
        }
        print_line(&line)?;
        Ok(0)
    }

    /// Has systemd read its units again.
    fn reload(&self) {
        if !self.tells_systemd {
            return;
        }
        let done = Command::new("systemctl")
            .arg("daemon-reload")
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !done {
            crate::notice("WARNING: run 'systemctl daemon-reload' for systemd to see the change");
        }
    }
}

/// Returns the unit's name; each root of its own has one of its own.
fn name(root: Option<&Path>) -> String {
    let Some(root) = root else { return "wharf.service".to_owned() };
    // As `systemd-escape --path` writes it.
    let text = root.to_string_lossy();
    let escaped: String = text
        .trim_matches('/')
        .bytes()
        .map(|byte| match byte {
            b'/' => "-".to_owned(),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b':' => {
                char::from(byte).to_string()
            }
            other => format!("\\x{other:02x}"),
        })
        .collect();
    format!("wharf-{escaped}.service")
}

/// Returns the unit's text.
fn unit(program: &Path, root: &Path, private: bool) -> anyhow::Result<String> {
    let word = |path: &Path| {
        let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        Ok::<_, anyhow::Error>(quoted(text))
    };
    let program = word(program)?;
    let command = match private {
        true => format!("{program} --root {} boot", word(root)?),
        false => format!("{program} boot"),
    };
    Ok(format!(
        "[Unit]
Description=Containers of wharf
After=local-fs.target network.target docker.service
RequiresMountsFor={}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command}
# A stop of this unit is no stop of the containers.
KillMode=process
TimeoutStartSec=infinity
# Containers set limits of their own.
LimitNOFILE=infinity
TasksMax=infinity

[Install]
WantedBy={WANTED_BY}
",
        word(root)?
    ))
}

/// Returns a word as systemd reads it back (`systemd.service(5)`, "Command lines").
fn quoted(text: &str) -> String {
    let mut word = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => word.extend(['\\', letter]),
            '%' | '$' => word.extend([letter, letter]),
            _ => word.push(letter),
        }
    }
    word.push('"');
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_root_has_its_unit() {
        assert_eq!(name(None), "wharf.service");
        assert_eq!(name(Some(Path::new("/srv/a-b/c d"))), r"wharf-srv-a\x2db-c\x20d.service");
    }

    #[test]
    fn words_survive_systemd() {
        let text = unit(Path::new("/opt/my \"w\"/wh$arf"), Path::new("/srv/100%"), true).unwrap();
        let line = text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        assert_eq!(line, r#"ExecStart="/opt/my \"w\"/wh$$arf" --root "/srv/100%%" boot"#);
    }

    #[test]
    fn a_unit_is_installed_and_removed() {
        let folder = std::env::temp_dir().join(format!("wharf-units-{}", std::process::id()));
        let service = Service {
            units: folder.clone(),
            name: "wharf.service".to_owned(),
            tells_systemd: false,
        };
        let text = unit(Path::new("/usr/bin/wharf"), Path::new("/var/lib/wharf"), false).unwrap();
        assert_eq!(service.status().unwrap(), 4);
        for _ in 0..2 {
            assert_eq!(service.install(&text).unwrap(), 0);
        }
        assert!(service.link().exists());
        assert_eq!(std::fs::read_to_string(service.unit()).unwrap(), text);
        assert_eq!(service.status().unwrap(), 0);
        assert_eq!(service.uninstall().unwrap(), 0);
        assert!(service.uninstall().is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
