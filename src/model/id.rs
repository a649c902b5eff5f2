//! Identifiers: container ids, digests and image names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// A container's id: 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// Returns the id made from 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(hex(&bytes))
    }

    /// Returns all 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the first 12 digits, as lists show them.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for ContainerId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError(format!("{text:?} is not a container id (64 hexadecimal digits)")))
        }
    }
}

impl TryFrom<String> for ContainerId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A SHA-256 digest in its `sha256:<64 hexadecimal digits>` form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// Returns the digest whose 32 bytes are given.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(format!("sha256:{}", hex(bytes)))
    }

    /// Returns the whole text, `sha256:` included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the 64 digits after `sha256:`.
    pub fn hex(&self) -> &str {
        &self.0[7..]
    }

    /// Returns the first 12 digits, as lists show them.
    pub fn short(&self) -> &str {
        &self.0[7..19]
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.strip_prefix("sha256:") {
            Some(digits)
                if digits.len() == 64
                    && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(ParseError(format!("{text:?} is not a sha256 digest"))),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// An image name with its tag, normalised as docker does: `alpine` is
/// `docker.io/library/alpine:latest`; [`fmt::Display`] gives the short (familiar) form again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    domain: String,
    path: String,
    tag: String,
}

impl ImageName {
    /// Returns the registry's host, with its port if it has one.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the repository's path in its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Returns the repository as lists show it: without `docker.io/` and `library/`.
    pub fn familiar_repository(&self) -> String {
        if self.domain == DEFAULT_DOMAIN {
            self.path.strip_prefix("library/").unwrap_or(&self.path).to_owned()
        } else {
            format!("{}/{}", self.domain, self.path)
        }
    }

    /// Returns `domain/path:tag`, nothing left out.
    pub fn canonical(&self) -> String {
        format!("{}/{}:{}", self.domain, self.path, self.tag)
    }
}

const DEFAULT_DOMAIN: &str = "docker.io";

impl FromStr for ImageName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let invalid = || ParseError(format!("invalid reference format: {text:?}"));
        if text.contains('@') || text.is_empty() || text.len() > 255 {
            return Err(invalid());
        }
        let (domain, rest) = match text.split_once('/') {
            Some((first, rest))
                if first == "localhost"
                    || first.contains(['.', ':'])
                    || first.bytes().any(|b| b.is_ascii_uppercase()) =>
            {
                (first, rest)
            }
            _ => (DEFAULT_DOMAIN, text),
        };
        let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
        let (path, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ParseError(format!(
                "invalid reference format: repository name ({path}) must be lowercase"
            )));
        }
        if !path.split('/').all(is_path_component) || !is_tag(tag) || !is_domain(domain) {
            return Err(invalid());
        }
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        Ok(Self { domain: domain.to_owned(), path, tag: tag.to_owned() })
    }
}

/// The grammar of the distribution reference: runs of `[a-z0-9]` joined by one of `.`, `_`, `__`
/// or any number of `-`.
fn is_path_component(text: &str) -> bool {
    let mut rest = text;
    loop {
        let run = rest.bytes().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit()).count();
        if run == 0 {
            return false;
        }
        rest = &rest[run..];
        if rest.is_empty() {
            return true;
        }
        let separators = rest.bytes().take_while(|b| matches!(b, b'.' | b'_' | b'-')).count();
        let separator = &rest[..separators];
        if !matches!(separator, "." | "_" | "__") && separator.bytes().any(|b| b != b'-') {
            return false;
        }
        if separators == 0 {
            return false;
        }
        rest = &rest[separators..];
    }
}

fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    matches!(bytes.next(), Some(b) if b.is_ascii_alphanumeric() || b == b'_')
        && text.len() <= 128
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        && port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
}

impl TryFrom<String> for ImageName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.canonical()
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.familiar_repository(), self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_docker_does() {
        for (text, canonical, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("wharf/demo", "docker.io/wharf/demo:latest", "wharf/demo:latest"),
            ("localhost:5000/a/b:1.2", "localhost:5000/a/b:1.2", "localhost:5000/a/b:1.2"),
            ("docker.io/library/x:y", "docker.io/library/x:y", "x:y"),
            ("a__b--c.d", "docker.io/library/a__b--c.d:latest", "a__b--c.d:latest"),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(name.canonical(), canonical);
            assert_eq!(name.to_string(), familiar);
        }
        for bad in ["", "Alpine", "a//b", "a:", "-a", "a..b", "a___b", "a:b c", "x/Y"] {
            assert!(bad.parse::<ImageName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_and_digests_keep_their_form() {
        let id = ContainerId::from_bytes([0xab; 32]);
        assert_eq!(id.short(), "abababababab");
        assert!("xyz".parse::<ContainerId>().is_err());
        let digest = Digest::from_bytes(&[1; 32]);
        assert_eq!(digest.short(), "010101010101");
        assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
    }
}
