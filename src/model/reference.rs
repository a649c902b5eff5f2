//! Names of images: repositories, names with a tag, and references as users give them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Digest, ParseError};

/// The registry of names that say none.
const DEFAULT_DOMAIN: &str = "docker.io";

/// What that registry puts its own images under.
const OFFICIAL: &str = "library/";

/// The tag of names that say none.
const DEFAULT_TAG: &str = "latest";

/// The longest name of a repository, its registry's included.
const LONGEST_NAME: usize = 255;

/// Where images of one name are: a registry and a path in it, normalised as docker does: `alpine` is
/// `docker.io/library/alpine`. [`fmt::Display`] gives all of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    domain: String,
    path: String,
}

impl Repository {
    /// Returns the registry's host, with its port if it has one.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the path in the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns it as lists show it: without `docker.io/` and `library/`.
    pub fn familiar(&self) -> String {
        if self.domain == DEFAULT_DOMAIN {
            self.path.strip_prefix(OFFICIAL).unwrap_or(&self.path).to_owned()
        } else {
            self.to_string()
        }
    }

    /// Returns one of its names.
    ///
    /// # Errors
    /// When the tag isn't one.
    pub fn tagged(&self, tag: &str) -> Result<ImageName, ParseError> {
        if !is_tag(tag) {
            return Err(ParseError(format!("invalid tag format: {tag:?}")));
        }
        Ok(ImageName { repository: self.clone(), tag: tag.to_owned() })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)
    }
}

/// What users write for an image in a registry: a repository, with a tag, a digest, both or neither.
/// [`fmt::Display`] gives the short (familiar) form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageReference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageReference {
    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the tag that was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest that was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns whether neither a tag nor a digest was given.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// Returns the name with its tag, `latest` where neither tag nor digest was given; none with a
    /// digest alone.
    pub fn name(&self) -> Option<ImageName> {
        let tag = match (&self.tag, &self.digest) {
            (Some(tag), _) => tag.clone(),
            (None, None) => DEFAULT_TAG.to_owned(),
            (None, Some(_)) => return None,
        };
        Some(ImageName { repository: self.repository.clone(), tag })
    }

    /// Returns what follows the repository in a registry's paths: the digest, or else the tag.
    pub fn selector(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => DEFAULT_TAG,
        }
    }

    /// Returns the whole reference, nothing left out, with a tag unless there is a digest.
    pub fn canonical(&self) -> String {
        let mut text = self.repository.to_string();
        self.append_selectors(&mut text);
        text
    }

    fn append_selectors(&self, text: &mut String) {
        match &self.tag {
            Some(tag) => text.extend([":", tag]),
            None if self.digest.is_none() => text.extend([":", DEFAULT_TAG]),
            None => {}
        }
        if let Some(digest) = &self.digest {
            text.extend(["@", digest.as_str()]);
        }
    }
}

impl FromStr for ImageReference {
    type Err = ParseError;

    /// Reads a reference as docker does, and complains in its words.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let invalid = || ParseError(format!("invalid reference format: {text:?}"));
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ParseError(format!(
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )));
        }
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => (name, Some(digest.parse().map_err(|_| invalid())?)),
        };
        let (domain, rest) = match name.split_once('/') {
            Some((first, rest))
                if first == "localhost"
                    || first.contains(['.', ':'])
                    || first.bytes().any(|b| b.is_ascii_uppercase()) =>
            {
                (first, rest)
            }
            _ => (DEFAULT_DOMAIN, name),
        };
        let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("{OFFICIAL}{path}")
        } else {
            path.to_owned()
        };
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ParseError(format!(
                "invalid reference format: repository name ({path}) must be lowercase"
            )));
        }
        if !path.split('/').all(is_path_component) || !tag.is_none_or(is_tag) || !is_domain(domain)
        {
            return Err(invalid());
        }
        if domain.len() + 1 + path.len() > LONGEST_NAME {
            return Err(ParseError(format!(
                "repository name must not be more than {LONGEST_NAME} characters"
            )));
        }
        let repository = Repository { domain: domain.to_owned(), path };
        Ok(Self { repository, tag: tag.map(str::to_owned), digest })
    }
}

impl TryFrom<String> for ImageReference {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ImageReference> for String {
    fn from(reference: ImageReference) -> Self {
        reference.canonical()
    }
}

impl From<ImageName> for ImageReference {
    fn from(name: ImageName) -> Self {
        Self { repository: name.repository, tag: Some(name.tag), digest: None }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.repository.familiar();
        self.append_selectors(&mut text);
        f.write_str(&text)
    }
}

/// An image name with its tag, normalised as docker does: `alpine` is
/// `docker.io/library/alpine:latest`; [`fmt::Display`] gives the short (familiar) form again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    repository: Repository,
    tag: String,
}

impl ImageName {
    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the registry's host, with its port if it has one.
    pub fn domain(&self) -> &str {
        self.repository.domain()
    }

    /// Returns the repository's path in its registry.
    pub fn path(&self) -> &str {
        self.repository.path()
    }

    /// Returns the tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Returns the repository as lists show it: without `docker.io/` and `library/`.
    pub fn familiar_repository(&self) -> String {
        self.repository.familiar()
    }

    /// Returns `domain/path:tag`, nothing left out.
    pub fn canonical(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

impl FromStr for ImageName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let reference: ImageReference = text.parse()?;
        match reference.digest {
            Some(_) => Err(ParseError(format!("invalid reference format: {text:?}"))),
            None => Ok(Self {
                repository: reference.repository,
                tag: reference.tag.unwrap_or_else(|| DEFAULT_TAG.to_owned()),
            }),
        }
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

/// Components of letters, digits and inner dashes joined by dots, or an IPv6 address in brackets;
/// then perhaps a port.
fn is_domain(text: &str) -> bool {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return !address.is_empty()
            && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_component = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    host.split('.').all(is_component) && port.is_none_or(is_port)
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

    const ONES: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

    #[test]
    fn names_are_normalised_as_docker_does() {
        for (text, canonical, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("wharf/demo", "docker.io/wharf/demo:latest", "wharf/demo:latest"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("localhost:5000/a/b:1.2", "localhost:5000/a/b:1.2", "localhost:5000/a/b:1.2"),
            ("docker.io/library/x:y", "docker.io/library/x:y", "x:y"),
            ("index.docker.io/x", "docker.io/library/x:latest", "x:latest"),
            ("EXAMPLE.com/x", "EXAMPLE.com/x:latest", "EXAMPLE.com/x:latest"),
            ("Example/x", "Example/x:latest", "Example/x:latest"),
            ("[fd00::1]:5000/x", "[fd00::1]:5000/x:latest", "[fd00::1]:5000/x:latest"),
            ("a__b--c.d", "docker.io/library/a__b--c.d:latest", "a__b--c.d:latest"),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(name.canonical(), canonical);
            assert_eq!(name.to_string(), familiar);
        }
        let long = "a/".repeat(130);
        for bad in [
            "",
            "Alpine",
            "a//b",
            "a:",
            "-a",
            "a..b",
            "a___b",
            "a:b c",
            "x/Y",
            "a:b:c",
            "a@b",
            "/a",
            "a/",
            "-a.com/x",
            "a.com-/x",
            "a.com:/x",
            "a.com:x/y",
            "[::1/x",
            "a.com",
            "ä",
            &long,
            &ONES[7..],
            &format!("a@{ONES}"),
            "http://a.com/x",
            "a:\u{0}",
        ] {
            // A dot alone makes no registry of a name without a path.
            assert_eq!(bad.parse::<ImageName>().is_ok(), bad == "a.com", "{bad}");
        }
        let refused = |text: &str| text.parse::<ImageName>().unwrap_err().0;
        let words = "invalid reference format: repository name (library/Alpine) must be lowercase";
        assert_eq!(refused("Alpine"), words);
        assert!(refused(&ONES[7..]).ends_with("cannot specify 64-byte hexadecimal strings"));
    }

    #[test]
    fn references_have_a_tag_a_digest_or_both() {
        let read = |text: &str| text.parse::<ImageReference>().unwrap();
        let only = read("alpine");
        assert!(only.is_name_only());
        assert_eq!(only.selector(), "latest");
        assert_eq!(only.canonical(), "docker.io/library/alpine:latest");
        assert_eq!(only.name().unwrap().to_string(), "alpine:latest");
        let pinned = read(&format!("localhost:5000/a@{ONES}"));
        assert_eq!((pinned.selector(), pinned.name()), (ONES, None));
        assert_eq!(pinned.to_string(), format!("localhost:5000/a@{ONES}"));
        let both = read(&format!("a:1@{ONES}"));
        assert_eq!((both.tag(), both.selector()), (Some("1"), ONES));
        assert_eq!(both.canonical(), format!("docker.io/library/a:1@{ONES}"));
        for bad in ["a@sha256:12", "a@md5:1", &format!("{ONES}@{ONES}@"), &format!("@{ONES}")] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad}");
        }
        assert!(only.repository().tagged("a b").is_err());
    }
}
