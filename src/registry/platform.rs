//! What machine an image is for, and which of several images a machine gets.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::manifest::Descriptor;
use crate::{Error, Result};

/// An operating system and a processor, as the OCI specifications write them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v7`, `v8`, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Of Windows.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Of Windows.
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// What the processor has to be able to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

impl Platform {
    /// Returns this machine's.
    pub fn this() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), ..Self::default() }
    }

    /// Reads `os[/arch[/variant]]`, or an architecture alone, as users write it.
    ///
    /// # Errors
    /// When it has another form.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!(
                "{text:?} is an invalid OS/architecture/variant: write linux/amd64 or linux/arm64/v8"
            ))
        };
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |word: &&str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        if parts.len() > 3 || !parts.iter().all(is_word) {
            return Err(wrong());
        }
        let this = Self::this();
        let (os, architecture, variant) = match parts.as_slice() {
            [one] if matches!(one.to_lowercase().as_str(), "linux" | "windows" | "freebsd") => {
                (*one, this.architecture.as_str(), "")
            }
            [one] => ("linux", *one, ""),
            [os, architecture] => (*os, *architecture, ""),
            [os, architecture, variant] => (*os, *architecture, *variant),
            _ => return Err(wrong()),
        };
        Ok(Self {
            os: os.to_lowercase(),
            architecture: architecture.to_lowercase(),
            variant: variant.to_lowercase(),
            ..Self::default()
        }
        .normalised())
    }

    /// Returns the same with the names that have won.
    fn normalised(mut self) -> Self {
        let (architecture, variant) = match (self.architecture.as_str(), self.variant.as_str()) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("i386" | "i486" | "i586" | "i686", _) => ("386", ""),
            ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", ""),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("amd64", "v1") => ("amd64", ""),
            (architecture, variant) => (architecture, variant),
        };
        (self.architecture, self.variant) = (architecture.to_owned(), variant.to_owned());
        self
    }

    /// Returns how well an image for `other` does here: the greater the better, none not at all.
    fn fitness(&self, other: &Self) -> Option<u32> {
        let other = other.clone().normalised();
        if other.os != self.os || other.architecture != self.architecture {
            return None;
        }
        if other.variant == self.variant {
            return Some(100);
        }
        let number = |variant: &str| match variant {
            "" => Some(if self.architecture == "arm64" { 8 } else { 1 }),
            text => text.strip_prefix('v')?.parse::<u32>().ok(),
        };
        // A processor does what those before it did.
        let (own, theirs) = (number(&self.variant)?, number(&other.variant)?);
        (theirs < own).then_some(theirs)
    }

    /// Returns whether an image for `other` was asked for by this.
    pub fn takes(&self, other: &Self) -> bool {
        self.fitness(other).is_some()
    }

    /// Returns the image of an index that fits best; of equals the first.
    pub(crate) fn choose<'a>(&self, entries: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let mut best: Option<(u32, &Descriptor)> = None;
        for entry in entries {
            let Some(platform) = &entry.platform else { continue };
            let Some(fitness) = self.fitness(platform) else { continue };
            if best.is_none_or(|(most, _)| fitness > most) {
                best = Some((fitness, entry));
            }
        }
        best.map(|(_, entry)| entry)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u8, platform: Option<&str>) -> Descriptor {
        let platform = platform.map(|text| {
            let mut parts = text.split('/').map(str::to_owned);
            Platform {
                os: parts.next().unwrap(),
                architecture: parts.next().unwrap(),
                variant: parts.next().unwrap_or_default(),
                ..Platform::default()
            }
        });
        Descriptor {
            media_type: String::new(),
            digest: wharf_model::Digest::from_bytes(&[number; 32]),
            size: 0,
            platform,
            annotations: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn the_image_that_fits_best_is_chosen() {
        let entries = [
            entry(0, None),
            entry(1, Some("unknown/unknown")),
            entry(2, Some("linux/arm/v5")),
            entry(3, Some("linux/arm/v6")),
            entry(4, Some("linux/amd64")),
            entry(5, Some("linux/arm64/v8")),
            entry(6, Some("windows/amd64")),
            entry(7, Some("linux/amd64/v3")),
        ];
        let chosen = |text: &str| {
            let platform = Platform::parse(text).unwrap();
            platform.choose(&entries).map(|entry| entry.digest.as_str().as_bytes()[8] - b'0')
        };
        assert_eq!(chosen("linux/amd64"), Some(4));
        assert_eq!(chosen("linux/x86_64"), Some(4));
        assert_eq!(chosen("linux/amd64/v2"), Some(4));
        assert_eq!(chosen("linux/amd64/v4"), Some(7));
        assert_eq!(chosen("arm64"), Some(5));
        assert_eq!(chosen("linux/aarch64"), Some(5));
        assert_eq!(chosen("linux/arm/v7"), Some(3));
        assert_eq!(chosen("linux/arm/v5"), Some(2));
        assert_eq!(chosen("linux/s390x"), None);
        assert_eq!(chosen("Windows/AMD64"), Some(6));
        for bad in ["", "linux/", "a/b/c/d", "linux amd64", "/amd64"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Platform::parse("linux/arm/7").unwrap().to_string(), "linux/arm/v7");
    }
}
