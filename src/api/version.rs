//! Versions of the Engine API.

/// A version: 1 and this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u16);

/// The newest that is spoken.
pub(crate) const NEWEST: Version = Version(51);
/// The oldest.
pub(crate) const OLDEST: Version = Version(24);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// What the first segment of a path says of the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// Nothing: it is part of the path itself.
    None,
    /// One that is spoken.
    Spoken(Version),
    /// One that isn't, and docker's sentence about it.
    Refused(String),
}

/// Reads a path's first segment.
pub(crate) fn named(segment: &str) -> Named {
    let Some(text) = segment.strip_prefix('v') else { return Named::None };
    let Some((major, minor)) = text.split_once('.') else { return Named::None };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(major) || !digits(minor) {
        return Named::None;
    }
    // A number too great for its type is too new all the same.
    let number = |part: &str| part.parse::<u16>().unwrap_or(u16::MAX);
    let (major, minor) = (number(major), number(minor));
    if (major, minor) > (1, NEWEST.0) {
        return Named::Refused(format!(
            "client version {text} is too new. Maximum supported API version is {NEWEST}"
        ));
    }
    if (major, minor) < (1, OLDEST.0) {
        return Named::Refused(format!(
            "client version {text} is too old. Minimum supported API version is {OLDEST}, please \
             upgrade your client to a newer version"
        ));
    }
    Named::Spoken(Version(minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_versions() {
        assert_eq!(named("v1.24"), Named::Spoken(Version(24)));
        assert_eq!(named("v1.51"), Named::Spoken(Version(51)));
        for none in ["containers", "v1", "v1.x", "v.24", "version", "1.24", "v1.24.1"] {
            assert_eq!(named(none), Named::None, "{none}");
        }
        for (segment, part) in [
            ("v1.52", "client version 1.52 is too new. Maximum supported API version is 1.51"),
            ("v2.0", "too new"),
            ("v99999999.1", "too new"),
            ("v1.99999999", "too new"),
            ("v1.23", "client version 1.23 is too old. Minimum supported API version is 1.24"),
            ("v0.99", "too old"),
        ] {
            match named(segment) {
                Named::Refused(text) => assert!(text.contains(part), "{segment}: {text}"),
                other => panic!("{segment}: {other:?}"),
            }
        }
    }
}
