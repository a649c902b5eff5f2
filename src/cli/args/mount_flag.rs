//! What `--mount` takes: `type=bind,source=/a,target=/b,readonly`, one line of comma-separated
//! values.

use std::path::Path;

use wharf_model::mounts::clean;
use wharf_model::{Mount, MountKind, Propagation, ReadOnlyBelow};

use super::create::invalid;
use super::values::{self, Reason};
use crate::call::Failure;

/// The words of one flag, where some of them stand.
#[derive(Default)]
struct Draft {
    mount: Mount,
    kind: Option<String>,
    propagation: Option<String>,
    /// Which kinds of mount the options given belong to.
    has_bind: bool,
    has_tmpfs: bool,
    has_volume: bool,
}

/// Returns the mount that is asked for. A source that begins with `./` is taken from `folder`.
///
/// # Errors
/// Docker's.
pub(super) fn mount(text: &str, folder: &Path) -> Result<Mount, Failure> {
    let mut draft = Draft::default();
    fields(text)
        .and_then(|fields| fields.iter().try_for_each(|field| draft.take(field, folder)))
        .and_then(|()| draft.check())
        .map_err(|reason| invalid(text, "--mount", &reason))?;
    draft.finish()
}

/// Splits a line of comma-separated values (RFC 4180), of which some may be quoted.
fn fields(text: &str) -> Result<Vec<String>, Reason> {
    let mut fields = vec![String::new()];
    let mut rest = text.char_indices().peekable();
    let column = |at: usize| at + 1;
    while let Some((at, letter)) = rest.next() {
        let Some(field) = fields.last_mut() else { break };
        match letter {
            ',' => fields.push(String::new()),
            '"' if field.is_empty() => loop {
                match rest.next() {
                    Some((_, '"')) => match rest.peek() {
                        Some((_, '"')) => {
                            rest.next();
                            field.push('"');
                        }
                        Some((_, ',')) | None => break,
                        Some((at, _)) => return Err(misquoted(column(*at), "quoted-field")),
                    },
                    Some((_, letter)) => field.push(letter),
                    None => return Err(misquoted(column(text.len()), "quoted-field")),
                }
            },
            '"' => {
                let column = column(at);
                return Err(format!(
                    "parse error on line 1, column {column}: bare \" in non-quoted-field"
                ));
            }
            letter => field.push(letter),
        }
    }
    Ok(fields)
}

/// Splits `NAME=VALUE`; a name alone has an empty value.
fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

fn misquoted(column: usize, place: &str) -> Reason {
    format!("parse error on line 1, column {column}: extraneous or missing \" in {place}")
}

impl Draft {
    /// Takes in one field.
    fn take(&mut self, field: &str, folder: &Path) -> Result<(), Reason> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
            None => (field.to_ascii_lowercase(), None),
        };
        self.has_bind |= key.starts_with("bind-") && value != Some("enabled");
        self.has_tmpfs |= key.starts_with("tmpfs-");
        self.has_volume |= key.starts_with("volume-");
        let mount = &mut self.mount;
        let Some(value) = value else {
            match key.as_str() {
                "readonly" | "ro" => mount.read_only = true,
                "bind-nonrecursive" => mount.non_recursive = true,
                "volume-nocopy" => mount.volume.no_copy = true,
                _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
            }
            return Ok(());
        };
        let bad = || format!("invalid value for {key}: {value}");
        match key.as_str() {
            "type" => self.kind = Some(value.to_ascii_lowercase()),
            "source" | "src" => {
                mount.source = match value == "." || value.starts_with("./") {
                    true => clean(&folder.join(value)),
                    false => value.to_owned(),
                };
            }
            "target" | "dst" | "destination" => mount.target = value.to_owned(),
            "readonly" | "ro" => mount.read_only = values::boolean(value).ok_or_else(bad)?,
            // It hints nothing on Linux.
            "consistency" => {}
            "volume-nocopy" => mount.volume.no_copy = values::boolean(value).ok_or_else(bad)?,
            "volume-label" => {
                let (name, value) = pair(value);
                mount.volume.labels.insert(name, value);
            }
            "volume-driver" => value.clone_into(&mut mount.volume.driver),
            "volume-opt" => {
                let (name, value) = pair(value);
                mount.volume.options.insert(name, value);
            }
            "volume-subpath" => value.clone_into(&mut mount.volume.subpath),
            "bind-propagation" => self.propagation = Some(value.to_ascii_lowercase()),
            "bind-nonrecursive" => mount.non_recursive = values::boolean(value).ok_or_else(bad)?,
            "bind-recursive" => match value {
                "enabled" => {}
                "disabled" => mount.non_recursive = true,
                "writable" => mount.read_only_below = ReadOnlyBelow::Never,
                "readonly" => mount.read_only_below = ReadOnlyBelow::Always,
                _ => {
                    return Err(format!(
                        "{} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")",
                        bad()
                    ));
                }
            },
            "tmpfs-size" => mount.tmpfs_size = Some(values::bytes(value).map_err(|_| bad())?),
            "tmpfs-mode" => {
                mount.tmpfs_mode = Some(u32::from_str_radix(value, 8).map_err(|_| bad())?);
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
        Ok(())
    }

    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("volume")
    }

    /// Checks the fields against each other.
    fn check(&self) -> Result<(), Reason> {
        let (kind, mount) = (self.kind(), &self.mount);
        if kind.is_empty() {
            return Err("type is required".to_owned());
        }
        if mount.target.is_empty() {
            return Err("target is required".to_owned());
        }
        for (given, of) in
            [(self.has_volume, "volume"), (self.has_bind, "bind"), (self.has_tmpfs, "tmpfs")]
        {
            if given && kind != of {
                return Err(format!("cannot mix '{of}-*' options with mount type '{kind}'"));
            }
        }
        let needs = |option: &str, what: &str| {
            Err(format!(
                "option 'bind-recursive={option}' requires '{what}' to be specified in conjunction"
            ))
        };
        match mount.read_only_below {
            ReadOnlyBelow::Never if !mount.read_only => needs("writable", "readonly"),
            ReadOnlyBelow::Always if !mount.read_only => needs("readonly", "readonly"),
            ReadOnlyBelow::Always if self.propagation.as_deref() != Some("rprivate") => {
                needs("readonly", "bind-propagation=rprivate")
            }
            _ => Ok(()),
        }
    }

    /// Returns the mount, with what docker's engine would complain of.
    fn finish(mut self) -> Result<Mount, Failure> {
        let refuse = |kind: &str, why: &str| {
            Err(Failure::usage(format!("invalid mount config for type {kind:?}: {why}")))
        };
        self.mount.kind = match self.kind() {
            "bind" => MountKind::Bind,
            "tmpfs" => MountKind::Tmpfs,
            "volume" => MountKind::Volume,
            other => return refuse(other, "mount type unknown"),
        };
        if let Some(word) = self.propagation.as_deref().filter(|word| !word.is_empty()) {
            self.mount.propagation = Propagation::from_word(word);
            if self.mount.propagation.is_none() {
                return refuse("bind", &format!("invalid propagation mode: {word}"));
            }
        }
        if self.mount.target.starts_with('/') {
            self.mount.target = clean(Path::new(&self.mount.target));
        }
        Ok(self.mount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Mount, String> {
        mount(text, Path::new("/home/me")).map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn all_keys() {
        let bind = read(
            "type=bind,src=./x,dst=/b/../c,ro,bind-propagation=rprivate,bind-recursive=readonly",
        )
        .unwrap();
        assert_eq!((bind.source.as_str(), bind.target.as_str()), ("/home/me/x", "/c"));
        assert_eq!(bind.kind, MountKind::Bind);
        assert!(bind.read_only && !bind.create_source);
        assert_eq!(bind.propagation, Some(Propagation::Rprivate));
        assert_eq!(bind.read_only_below, ReadOnlyBelow::Always);
        let bind =
            read("TYPE=bind,\"source=/a,b\",target=/c,readonly=0,bind-nonrecursive").unwrap();
        assert_eq!(
            (bind.source.as_str(), bind.read_only, bind.non_recursive),
            ("/a,b", false, true)
        );
        let volume = read(
            "src=data,dst=/d,volume-nocopy,volume-label=a=b=c,volume-label=d,volume-driver=local,\
             volume-opt=type=tmpfs,\"volume-opt=o=uid=5,size=1m\",volume-subpath=x/y",
        )
        .unwrap();
        assert_eq!((volume.kind, volume.source.as_str()), (MountKind::Volume, "data"));
        let asked = volume.volume;
        assert!(asked.no_copy && asked.driver == "local" && asked.subpath == "x/y");
        assert_eq!(asked.labels, [("a".into(), "b=c".into()), ("d".into(), String::new())].into());
        let options = [("o".into(), "uid=5,size=1m".into()), ("type".into(), "tmpfs".into())];
        assert_eq!(asked.options, options.into());
        let memory = read("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap();
        assert_eq!((memory.tmpfs_size, memory.tmpfs_mode), (Some(1 << 20), Some(0o1770)));
    }

    #[test]
    fn complaints_are_dockers() {
        for (text, part) in [
            ("type=bind", "target is required"),
            ("type=foo,dst=/x", "invalid mount config for type \"foo\": mount type unknown"),
            ("type=bind,src=/a,dst=/x,foo", "invalid field 'foo' must be a key=value pair"),
            ("type=bind,src=/a,dst=/x,foo=1", "unexpected key 'foo' in 'foo=1'"),
            ("type=bind,dst=/x,readonly=maybe", "invalid value for readonly: maybe"),
            ("type=bind,dst=/x,bind-recursive=foo", "invalid value for bind-recursive: foo (must"),
            ("type=bind,dst=/x,bind-recursive=readonly,ro", "requires 'bind-propagation=rprivate'"),
            ("type=bind,dst=/x,bind-recursive=writable", "requires 'readonly'"),
            (
                "type=bind,dst=/x,tmpfs-size=1",
                "cannot mix 'tmpfs-*' options with mount type 'bind'",
            ),
            ("type=tmpfs,dst=/x,bind-nonrecursive", "cannot mix 'bind-*' options"),
            ("type=bind,dst=/x,volume-nocopy", "cannot mix 'volume-*' options"),
            ("type=tmpfs,dst=/x,tmpfs-size=foo", "invalid value for tmpfs-size: foo"),
            ("type=tmpfs,dst=/x,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
            ("type=bind,src=/a,dst=/x,bind-propagation=foo", "invalid propagation mode: foo"),
            ("dst=/x,volume-nocopy=maybe", "invalid value for volume-nocopy: maybe"),
            ("dst=/x,volume-foo=1", "unexpected key 'volume-foo'"),
            (
                "\"type=bind",
                "parse error on line 1, column 11: extraneous or missing \" in quoted-field",
            ),
            ("type=b\"ind,dst=/x", "column 7: bare \" in non-quoted-field"),
        ] {
            let reason = read(text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
    }
}
