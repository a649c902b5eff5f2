//! Ports as `publish` and `expose` name them: `80`, `80/udp`, `8000-8010/tcp`.

use wharf_model::ParseError;

/// Some ports of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    first: u16,
    last: u16,
    protocol: String,
}

impl Ports {
    /// Returns the ports that a condition names.
    ///
    /// # Errors
    /// When it names none; `key` is the filter's.
    pub(super) fn parse(key: &str, text: &str) -> Result<Self, ParseError> {
        let failed = |why: String| {
            Err(ParseError(format!("error while looking up for {key} {text}: {why}")))
        };
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let port = |digits: &str| match digits.parse::<u16>() {
            Ok(port) => Ok(port),
            Err(_) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Err(format!("strconv.ParseUint: parsing {digits:?}: value out of range"))
            }
            Err(_) => Err(format!("strconv.ParseUint: parsing {digits:?}: invalid syntax")),
        };
        match (port(first), port(last)) {
            (Ok(first), Ok(last)) if first <= last => {
                Ok(Self { first, last, protocol: protocol.to_lowercase() })
            }
            (Ok(_), Ok(_)) => failed(format!("invalid range specified for port: {range}")),
            (Err(why), _) | (_, Err(why)) => failed(why),
        }
    }

    /// Returns whether a port is among them.
    pub(super) fn contain(&self, port: u16, protocol: &str) -> bool {
        (self.first..=self.last).contains(&port) && self.protocol == protocol
    }
}
