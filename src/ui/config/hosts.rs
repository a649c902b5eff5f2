//! The engines that a dashboard shows: `[[hosts]]`.

use toml::de::{DeTable, DeValue};

use wharf_backend::docker::Address;

use super::{Reader, Value};

/// The most that can be shown at once.
const MOST: usize = 32;

/// An engine to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSetting {
    /// What it is called.
    pub name: String,
    /// Its address, `ssh://host`; `wharf://` is this program's own engine.
    pub url: Option<String>,
    /// The name by which docker knows it.
    pub context: Option<String>,
    /// The folder of its certificates: `ca.pem`, `cert.pem`, `key.pem`.
    pub certificates: Option<String>,
    /// Whether it has to prove who it is.
    pub verify: Option<bool>,
}

impl Reader<'_> {
    pub(super) fn hosts(&mut self, value: Value<'_, '_>) {
        let DeValue::Array(list) = value.get_ref() else {
            return self.problem(value.span().start, "hosts are a list: [[hosts]]");
        };
        for value in list {
            match value.get_ref() {
                DeValue::Table(table) => self.host(value.span().start, table),
                _ => self.problem(value.span().start, "a host is a table: [[hosts]]"),
            }
        }
    }

    fn host(&mut self, at: usize, table: &DeTable<'_>) {
        let mut host = HostSetting::default();
        let before = self.problems.len();
        for (name, value) in table {
            let start = value.span().start;
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("name", DeValue::String(text)) => host.name = text.to_string(),
                ("url", DeValue::String(text)) => {
                    let own = text.starts_with("wharf://");
                    if let Some(Err(why)) = (!own).then(|| Address::parse(text, None)) {
                        self.problem(start, why.message);
                    }
                    host.url = Some(text.to_string());
                }
                ("context", DeValue::String(text)) => host.context = Some(text.to_string()),
                ("cert-path", DeValue::String(text)) => host.certificates = Some(text.to_string()),
                ("tls-verify", DeValue::Boolean(verify)) => host.verify = Some(*verify),
                ("tls-verify", _) => self.problem(start, "tls-verify is true or false"),
                ("name" | "url" | "context" | "cert-path", _) => {
                    self.problem(start, format!("{} is a text", name.get_ref()));
                }
                _ => {
                    let known = ["name", "url", "context", "cert-path", "tls-verify"];
                    self.unknown(name, "setting of a host", &known.map(str::to_owned));
                }
            }
        }
        // Certificates are there to be checked.
        host.verify = host.verify.or(host.certificates.is_some().then_some(true));
        if host.name.is_empty() {
            host.name = host.context.clone().unwrap_or_default();
        }
        let is_name = |name: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            !name.is_empty() && name.len() <= 32 && name.chars().all(plain)
        };
        let taken = self.config.hosts.iter().any(|other| other.name == host.name);
        let wrong = if self.problems.len() > before {
            return;
        } else if host.url.is_some() == host.context.is_some() {
            "a host has either a url or a context"
        } else if !is_name(&host.name) {
            "a host has a name: up to 32 letters, digits, dots, dashes and underscores"
        } else if taken {
            "another host has this name already"
        } else if self.config.hosts.len() == MOST {
            "these are too many hosts"
        } else {
            return self.config.hosts.push(host);
        };
        self.problem(at, wrong);
    }
}
