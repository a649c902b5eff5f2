//! The audit file: every change that was asked for from a dashboard, by whom, and what came of it, a
//! JSON object a line. Lines are only ever added; a full file becomes `audit.log.1`, and so on.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{SecondsFormat, Utc};
use rustix::fs::{FlockOperation, flock};

use super::state::make_private;
use crate::app::Deed;
use crate::message::{Msg, TerminalReply};

/// Its name in the state folder.
const FILE: &str = "audit.log";

/// Bytes of a full file.
const FULL: u64 = 1 << 20;

/// Full files that are kept.
const KEPT: u32 = 4;

/// Writes the file.
pub(super) struct Audit {
    folder: PathBuf,
    user: String,
    /// What has begun, by its number.
    begun: HashMap<u64, Deed>,
}

impl Audit {
    /// Returns one that writes in this folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, user: user(), begun: HashMap::new() }
    }

    /// Notes that something begins: before it does, so that nothing is done unseen.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(super) fn begins(&mut self, operation: u64, deed: Deed) -> std::io::Result<()> {
        let written = self.write(operation, &deed, "begun");
        self.begun.insert(operation, deed);
        written
    }

    /// Notes what came of something, if that is what a message tells.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(super) fn hears(&mut self, msg: &Msg) -> std::io::Result<()> {
        let said = |result: Option<String>| match result {
            None => "done".to_owned(),
            Some(why) => format!("failed: {why}"),
        };
        let (operation, result) = match msg {
            Msg::Done { operation, result } => {
                (operation, said(result.as_ref().err().map(|e| e.message.clone())))
            }
            Msg::Ran { operation, result } => {
                (operation, said(result.as_ref().err().map(|e| e.message.clone())))
            }
            Msg::TransferEnded { operation, result } => {
                (operation, said(result.as_ref().err().map(|e| e.message.clone())))
            }
            Msg::Saved { operation, result } => {
                (operation, said(result.as_ref().err().map(|e| e.message.clone())))
            }
            Msg::FilesCopied { operation, result } => {
                (operation, said(result.as_ref().err().cloned()))
            }
            Msg::ShellEnded { operation, result } => {
                let result = match result {
                    Ok(output) if output.code == Some(0) => "done".to_owned(),
                    Ok(output) => output.verdict(),
                    Err(why) => format!("failed: {why}"),
                };
                (operation, result)
            }
            Msg::Terminal { number, reply: TerminalReply::Ended(result) } => {
                let result = match result {
                    Ok(0) => "done".to_owned(),
                    Ok(code) => format!("exit code {code}"),
                    Err(why) => format!("failed: {why}"),
                };
                (number, result)
            }
            _ => return Ok(()),
        };
        match self.begun.remove(operation) {
            Some(deed) => self.write(*operation, &deed, &result),
            None => Ok(()),
        }
    }

    /// Notes that something was given up.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(super) fn given_up(&mut self, operation: u64) -> std::io::Result<()> {
        match self.begun.remove(&operation) {
            Some(deed) => self.write(operation, &deed, "given up"),
            None => Ok(()),
        }
    }

    /// Notes of all that hasn't ended that nobody waits for it any more.
    ///
    /// # Errors
    /// When the file can't be written.
    pub(super) fn ends(&mut self) -> std::io::Result<()> {
        let mut left: Vec<_> = self.begun.drain().collect();
        left.sort_by_key(|(operation, _)| *operation);
        left.iter().try_for_each(|(operation, deed)| {
            self.write(*operation, deed, "unknown: the dashboard ended before it")
        })
    }

    fn write(&self, operation: u64, deed: &Deed, result: &str) -> std::io::Result<()> {
        let mut line = serde_json::json!({
            "time": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            "user": self.user,
            "dashboard": std::process::id(),
            "operation": operation,
            "action": deed.verb,
            "object": deed.object,
            "command": deed.line,
            "result": result,
        });
        if let (Some(host), Some(fields)) = (&deed.host, line.as_object_mut()) {
            fields.insert("host".to_owned(), host.as_str().into());
        }
        let mut file = self.open()?;
        file.write_all(format!("{line}\n").as_bytes())
    }

    /// Returns the file, locked against other dashboards; a full one is put aside first.
    fn open(&self) -> std::io::Result<File> {
        make_private(&self.folder)?;
        let path = self.folder.join(FILE);
        loop {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            if file.metadata()?.len() < FULL {
                return Ok(file);
            }
            // Another dashboard may have put it aside while this one waited.
            if is_still(&file, &path)? {
                rotate(&path)?;
            }
        }
    }
}

/// Returns whether a path leads to this file.
fn is_still(file: &File, path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let here = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

fn rotate(path: &Path) -> std::io::Result<()> {
    let numbered = |n: u32| match n {
        0 => path.to_owned(),
        n => path.with_extension(format!("log.{n}")),
    };
    for n in (0..KEPT).rev() {
        match std::fs::rename(numbered(n), numbered(n + 1)) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
    }
    Ok(())
}

/// Returns who this is: the login that `sudo` was called from too, if it says so.
fn user() -> String {
    let uid = rustix::process::getuid().as_raw();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    let name = name.unwrap_or_else(|| uid.to_string());
    match std::env::var("SUDO_USER") {
        Ok(by) if by != name && !by.is_empty() => format!("{name} (sudo of {by})"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use wharf_backend::Error;
    use wharf_model::{ErrorKind, Outcome};

    use super::*;

    fn deed(object: &str) -> Deed {
        let line = format!("wharf stop {object}");
        Deed { verb: "stop".to_owned(), object: object.to_owned(), line, host: None }
    }

    #[test]
    fn what_begins_and_what_came_of_it_are_lines_of_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut audit = Audit::new(folder.path().join("wharf"));
        audit.begins(7, deed("a\nb")).unwrap();
        audit.begins(8, deed("c")).unwrap();
        let error = Error::new(ErrorKind::Internal, "no\nway");
        audit.hears(&Msg::Done { operation: 7, result: Err(error) }).unwrap();
        audit.hears(&Msg::Done { operation: 8, result: Ok(Outcome::Done) }).unwrap();
        audit.hears(&Msg::Done { operation: 8, result: Ok(Outcome::Done) }).unwrap();
        audit.begins(9, deed("d")).unwrap();
        audit.hears(&Msg::FilesCopied { operation: 9, result: Err("full".to_owned()) }).unwrap();
        audit.begins(10, deed("e")).unwrap();
        audit.ends().unwrap();
        let path = folder.path().join("wharf").join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let results: Vec<_> = lines.iter().map(|line| line["result"].as_str().unwrap()).collect();
        let wanted = [
            "begun",
            "begun",
            "failed: no\nway",
            "done",
            "begun",
            "failed: full",
            "begun",
            "unknown: the dashboard ended before it",
        ];
        assert_eq!(results, wanted);
        assert_eq!((&lines[2]["object"], &lines[2]["operation"]), (&"a\nb".into(), &7.into()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_file_is_put_aside_and_only_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut audit = Audit::new(folder.path().to_owned());
        for n in 0..7 {
            let full = vec![b'x'; usize::try_from(FULL).unwrap()];
            std::fs::write(folder.path().join(FILE), full).unwrap();
            audit.begins(n, deed("a")).unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let wanted = ["audit.log", "audit.log.1", "audit.log.2", "audit.log.3", "audit.log.4"];
        assert_eq!(names, wanted);
        let newest = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert_eq!(newest.lines().count(), 1);
    }
}
