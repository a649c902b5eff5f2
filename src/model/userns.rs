//! Whose users a container's users are: `--userns`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The user namespace of a container. As text, also in documents: empty, `host`, `auto`,
/// `auto:size=N`, `remap` or `remap:USER[:GROUP]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum UsernsMode {
    /// What the engine is set to: see `wharf system userns-remap`.
    #[default]
    Default,
    /// The engine's own: root inside is root outside.
    Host,
    /// One of its own, in which nobody is a user of any other container.
    Auto {
        /// How many users and groups it has; none is 65,536.
        size: Option<u32>,
    },
    /// One in which the subordinate numbers of this user, and of this group, are its users. All
    /// containers of the same user have the same.
    Remap(String),
}

/// The word for the user that the numbers belong to when none is named.
const DEFAULT_USER: &str = "default";

impl fmt::Display for UsernsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => Ok(()),
            Self::Host => f.write_str("host"),
            Self::Auto { size: None } => f.write_str("auto"),
            Self::Auto { size: Some(size) } => write!(f, "auto:size={size}"),
            Self::Remap(user) if user == DEFAULT_USER => f.write_str("remap"),
            Self::Remap(user) => write!(f, "remap:{user}"),
        }
    }
}

impl FromStr for UsernsMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "private" => Ok(Self::Default),
            "host" => Ok(Self::Host),
            "auto" => Ok(Self::Auto { size: None }),
            "remap" => Ok(Self::Remap(DEFAULT_USER.to_owned())),
            _ => {
                if let Some(size) = text.strip_prefix("auto:size=") {
                    let size = size.parse().ok().filter(|size| *size > 0);
                    let size = size.ok_or_else(|| format!("invalid size in {text:?}"))?;
                    return Ok(Self::Auto { size: Some(size) });
                }
                match text.strip_prefix("remap:") {
                    Some(user) if !user.is_empty() => Ok(Self::Remap(user.to_owned())),
                    _ => Err("valid modes are host, auto[:size=N] and remap[:USER[:GROUP]]".into()),
                }
            }
        }
    }
}

impl TryFrom<String> for UsernsMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<UsernsMode> for String {
    fn from(mode: UsernsMode) -> Self {
        mode.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_they_are_written() {
        for text in ["", "host", "auto", "auto:size=1024", "remap", "remap:ann", "remap:ann:staff"]
        {
            assert_eq!(text.parse::<UsernsMode>().unwrap().to_string(), text);
        }
        assert_eq!("remap:default".parse::<UsernsMode>().unwrap().to_string(), "remap");
        for text in ["keep-id", "auto:size=0", "auto:size=x", "remap:", "container:x"] {
            assert!(text.parse::<UsernsMode>().is_err(), "{text}");
        }
        assert_eq!(serde_json::to_string(&UsernsMode::Host).unwrap(), "\"host\"");
        let read: UsernsMode = serde_json::from_str("\"auto\"").unwrap();
        assert_eq!(read, UsernsMode::Auto { size: None });
    }
}
