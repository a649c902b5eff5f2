//! What `-v` and `--tmpfs` take.

use std::path::{Component, Path, PathBuf};

use wharf_model::{Bind, Propagation};

use super::values::Reason;

/// Returns a bind from `SOURCE:TARGET[:OPTIONS]`. A source that begins with `.` is taken from
/// `folder`.
///
/// # Errors
/// Docker's, and by name what isn't there yet: volumes.
pub(crate) fn bind(text: &str, folder: &Path) -> Result<Bind, Reason> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("invalid spec: {text}: empty section between colons"));
    }
    let (source, target, options) = match parts[..] {
        [target] => {
            return Err(format!(
                "the anonymous volume {target} is not supported yet: give a host path as \
                 /host/path:{target}"
            ));
        }
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(format!("invalid volume specification: '{text}'")),
    };
    if !target.starts_with('/') {
        return Err(format!(
            "invalid volume specification: '{text}': invalid mount path: '{target}' mount path \
             must be absolute"
        ));
    }
    let target = clean(Path::new(target));
    if target == "/" {
        return Err(format!(
            "invalid volume specification: '{text}': invalid specification: destination can't be \
             '/'"
        ));
    }
    let source = if source.starts_with('/') {
        clean(Path::new(source))
    } else if source.starts_with('.') {
        clean(&folder.join(source))
    } else if source.contains('/') {
        return Err(format!(
            "\"{source}\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, \
             use absolute path"
        ));
    } else {
        return Err(format!(
            "the volume {source} is not supported yet: give a host path as /host/path:{target}"
        ));
    };
    let bind = Bind { source, target, options: options.to_owned(), ..Bind::default() };
    mode(bind, text)
}

/// Takes in the options of a bind; one of each kind may be given.
fn mode(mut bind: Bind, text: &str) -> Result<Bind, Reason> {
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
            "nocopy" => {
                return Err(format!(
                    "invalid volume specification: '{text}': invalid mount config for type \
                     \"bind\": field VolumeOptions must not be specified"
                ));
            }
            _ => match Propagation::from_word(option) {
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
pub(super) fn clean(path: &Path) -> String {
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
pub(crate) fn tmpfs(text: &str) -> Result<(String, String), Reason> {
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
        let ok = |text: &str| {
            let bind = bind(text, folder).unwrap();
            (bind.source, bind.target, bind.read_only)
        };
        assert_eq!(ok("/a:/b"), ("/a".into(), "/b".into(), false));
        assert_eq!(ok("/a/../c//d:/b/:ro"), ("/c/d".into(), "/b".into(), true));
        assert_eq!(ok("/a:/b:ro,z"), ("/a".into(), "/b".into(), true));
        assert_eq!(ok("./x:/b:rw"), ("/home/me/x".into(), "/b".into(), false));
        assert_eq!(ok("..:/b"), ("/home".into(), "/b".into(), false));
        let spread = bind("/a:/b:rslave,ro,cached", folder).unwrap();
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
            ("data:/b", "the volume data is not supported yet"),
            ("/b", "the anonymous volume /b is not supported yet"),
            ("a/b:/c", "use absolute path"),
        ] {
            let reason = bind(text, folder).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
        assert_eq!(tmpfs("/t:size=1m"), Ok(("/t".into(), "size=1m".into())));
        assert!(tmpfs("t").is_err());
    }
}
