//! What `-v` and `--tmpfs`, and the Engine API's `Binds`, take.

use std::path::{Component, Path, PathBuf};

use crate::{Bind, Propagation};

/// What `-v` asks for.
#[derive(Debug)]
pub enum Asked {
    /// A host path or a named volume.
    Bind(Bind),
    /// A volume without a name at this path.
    Anonymous(String),
}

/// Returns what `[SOURCE:]TARGET[:OPTIONS]` asks for. A source that begins with `.` is taken from
/// `folder`; one without a slash is a volume's name.
///
/// # Errors
/// Docker's.
pub fn volume(text: &str, folder: &Path) -> Result<Asked, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("invalid spec: {text}: empty section between colons"));
    }
    let place = |target: &str, kind: &str| {
        let wrong = |why: String| {
            let of = match kind {
                "" => String::new(),
                kind => format!("invalid mount config for type \"{kind}\": "),
            };
            Err(format!("invalid volume specification: '{text}': {of}{why}"))
        };
        if !target.starts_with('/') {
            return wrong(format!("invalid mount path: '{target}' mount path must be absolute"));
        }
        match clean(Path::new(target)) {
            root if root == "/" => {
                wrong("invalid specification: destination can't be '/'".to_owned())
            }
            target => Ok(target),
        }
    };
    let (source, target, options) = match parts[..] {
        [target] => return place(target, "").map(Asked::Anonymous),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(format!("invalid volume specification: '{text}'")),
    };
    let source = match source {
        source if source.starts_with('/') => clean(Path::new(source)),
        source if source.starts_with('.') => clean(&folder.join(source)),
        source => source.to_owned(),
    };
    let kind = if source.starts_with('/') { "bind" } else { "volume" };
    let target = place(target, kind)?;
    // Whether a volume can have this name, its engine knows.
    mode(Bind { source, target, options: options.to_owned(), ..Bind::default() }, text)
        .map(Asked::Bind)
}

/// Takes in the options of a bind; one of each kind may be given.
fn mode(mut bind: Bind, text: &str) -> Result<Bind, String> {
    let mut kinds = Vec::new();
    let options = bind.options.clone();
    for option in options.split(',').filter(|_| !options.is_empty()) {
        let kind = match option {
            "ro" | "rw" => {
                bind.read_only = option == "ro";
                "access"
            }
            // Relabelling does nothing without SELinux, and consistency hints nothing on Linux.
            "z" | "Z" => "label",
            "cached" | "delegated" | "consistent" => "consistency",
            "nocopy" if bind.is_volume() => "copy",
            "nocopy" => {
                return Err(format!(
                    "invalid volume specification: '{text}': invalid mount config for type \
                     \"bind\": field VolumeOptions must not be specified"
                ));
            }
            _ => match Propagation::from_word(option) {
                Some(_) if bind.is_volume() => {
                    return Err(format!(
                        "invalid volume specification: '{text}': invalid mount config for type \
                         \"volume\": field BindOptions must not be specified"
                    ));
                }
                Some(propagation) => {
                    bind.propagation = propagation;
                    "propagation"
                }
                None => return Err(format!("invalid mode: {options}")),
            },
        };
        if kinds.contains(&kind) {
            return Err(format!("invalid mode: {options}"));
        }
        kinds.push(kind);
    }
    Ok(bind)
}

/// Returns the path without `.`, `..` and doubled slashes, by its text alone.
pub fn clean(path: &Path) -> String {
    let mut out = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out.to_string_lossy().into_owned()
}

/// Returns the path and the mount options of `PATH[:OPTIONS]` (`--tmpfs`).
///
/// # Errors
/// When the path isn't absolute.
pub fn tmpfs(text: &str) -> Result<(String, String), String> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    if !path.starts_with('/') {
        return Err(format!("invalid mount path: '{path}' mount path must be absolute"));
    }
    Ok((clean(Path::new(path)), options.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds() {
        let folder = Path::new("/home/me");
        let bind = |text: &str| match volume(text, folder) {
            Ok(Asked::Bind(bind)) => bind,
            other => panic!("{text}: {other:?}"),
        };
        let ok = |text: &str| {
            let bind = bind(text);
            (bind.source, bind.target, bind.read_only)
        };
        assert_eq!(ok("/a:/b"), ("/a".into(), "/b".into(), false));
        assert_eq!(ok("/a/../c//d:/b/:ro"), ("/c/d".into(), "/b".into(), true));
        assert_eq!(ok("/a:/b:ro,z"), ("/a".into(), "/b".into(), true));
        assert_eq!(ok("./x:/b:rw"), ("/home/me/x".into(), "/b".into(), false));
        assert_eq!(ok("..:/b"), ("/home".into(), "/b".into(), false));
        assert_eq!(ok("data:/b:ro,nocopy"), ("data".into(), "/b".into(), true));
        assert!(bind("data:/b").is_volume() && !bind("/a:/b").is_volume());
        let anonymous = volume("/b/../c/", folder);
        assert!(matches!(anonymous, Ok(Asked::Anonymous(path)) if path == "/c"));
        let spread = bind("/a:/b:rslave,ro,cached");
        assert_eq!((spread.propagation, spread.read_only), (Propagation::Rslave, true));
        assert_eq!(spread.options, "rslave,ro,cached");
        for (text, part) in [
            ("a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
            ("/a::/b", "empty section between colons"),
            ("/a:b", "mount path must be absolute"),
            ("/a:/", "destination can't be '/'"),
            ("/a:/b:foo", "invalid mode: foo"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            ("/a:/b:z,Z", "invalid mode: z,Z"),
            ("/a:/b:shared,rslave", "invalid mode: shared,rslave"),
            ("/a:/b:nocopy", "field VolumeOptions must not be specified"),
            ("data:/b:rshared", "type \"volume\": field BindOptions must not be specified"),
            ("data:b", "type \"volume\": invalid mount path: 'b' mount path must be absolute"),
            ("b", "mount path must be absolute"),
            ("/", "destination can't be '/'"),
        ] {
            let reason = volume(text, folder).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
        assert_eq!(tmpfs("/t:size=1m"), Ok(("/t".into(), "size=1m".into())));
        assert!(tmpfs("t").is_err());
    }
}
