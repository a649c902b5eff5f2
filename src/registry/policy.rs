//! Which images may be pulled: the policy file, in the form of containers-policy.json(5), whose
//! rules for the transport `docker` hold.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use wharf_model::ImageReference;

/// What must be so for an image to be taken. All of an entry's requirements must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// Nothing.
    Accept,
    /// It can't be.
    Reject,
    /// A signature by one of these keys.
    Signed {
        /// Public keys, as PEM, and where they are from.
        keys: Vec<Key>,
        /// Which names a signature has to be for.
        identity: Identity,
    },
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// In a file, read when it is needed.
    File(PathBuf),
    /// Here.
    Data(Vec<u8>),
}

/// Which names a signature has to be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The one that was asked for: its repository, and its tag where the signature names one.
    Reference,
    /// Its repository.
    Repository,
    /// This name or repository.
    Exact(String),
}

/// The policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    default: Vec<Requirement>,
    /// By scope: a name, a repository, a part of its path, a registry, `*.domain`, or nothing.
    scopes: BTreeMap<String, Vec<Requirement>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default: Vec<Entry>,
    #[serde(default)]
    transports: BTreeMap<String, BTreeMap<String, Vec<Entry>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    key_path: Option<PathBuf>,
    #[serde(default)]
    key_paths: Vec<PathBuf>,
    #[serde(default)]
    key_data: Option<String>,
    #[serde(default)]
    key_datas: Vec<String>,
    #[serde(default)]
    signed_identity: Option<SignedIdentity>,
    #[serde(flatten)]
    #[serde(default)]
    rest: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SignedIdentity {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    docker_reference: Option<String>,
    #[serde(default)]
    docker_repository: Option<String>,
}

impl Policy {
    /// Reads the file.
    ///
    /// # Errors
    /// When it asks for something that can't be checked: then nothing may be taken for checked.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|cause| cause.to_string())?;
        let all = |entries: Vec<Entry>| -> Result<Vec<Requirement>, String> {
            if entries.is_empty() {
                return Err("a list of requirements is empty".to_owned());
            }
            entries.into_iter().map(Entry::requirement).collect()
        };
        let mut policy = Self { default: all(file.default)?, scopes: BTreeMap::new() };
        for (transport, scopes) in file.transports {
            // The others are of no concern here: pulls come from registries.
            if transport != "docker" {
                continue;
            }
            for (scope, entries) in scopes {
                policy.scopes.insert(scope, all(entries)?);
            }
        }
        Ok(policy)
    }

    /// Returns what must be so for an image: what the narrowest scope says that it is in.
    pub(crate) fn requirements(&self, reference: &ImageReference) -> &[Requirement] {
        let repository = reference.repository();
        let domain = repository.domain();
        let mut scope = repository.to_string();
        if let Some(name) = reference.name()
            && let Some(found) = self.scopes.get(&format!("{scope}:{}", name.tag()))
        {
            return found;
        }
        loop {
            if let Some(found) = self.scopes.get(&scope) {
                return found;
            }
            match scope.rfind('/') {
                Some(end) => scope.truncate(end),
                None => break,
            }
        }
        let mut rest = domain;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(found) = self.scopes.get(&format!("*.{parent}")) {
                return found;
            }
            rest = parent;
        }
        self.scopes.get("").unwrap_or(&self.default)
    }
}

impl Entry {
    fn requirement(self) -> Result<Requirement, String> {
        if let Some(name) = self.rest.keys().next() {
            return Err(format!("{name:?} of {:?} can't be checked", self.kind));
        }
        match self.kind.as_str() {
            "insecureAcceptAnything" => Ok(Requirement::Accept),
            "reject" => Ok(Requirement::Reject),
            "sigstoreSigned" => {
                let mut keys: Vec<Key> =
                    self.key_path.into_iter().chain(self.key_paths).map(Key::File).collect();
                for data in self.key_data.into_iter().chain(self.key_datas) {
                    let pem = STANDARD.decode(data).map_err(|_| "keyData isn't base64")?;
                    keys.push(Key::Data(pem));
                }
                if keys.is_empty() {
                    return Err("sigstoreSigned needs keyPath, keyPaths or keyData".to_owned());
                }
                let identity = match self.signed_identity {
                    None => Identity::Reference,
                    Some(identity) => identity.read()?,
                };
                Ok(Requirement::Signed { keys, identity })
            }
            other => Err(format!(
                "requirement {other:?} can't be checked: use sigstoreSigned, reject or \
                 insecureAcceptAnything"
            )),
        }
    }
}

impl SignedIdentity {
    fn read(self) -> Result<Identity, String> {
        let exact = |name: Option<String>, what: &str| {
            name.map(Identity::Exact).ok_or_else(|| format!("signedIdentity needs {what}"))
        };
        match self.kind.as_str() {
            "matchExact" | "matchRepoDigestOrExact" => Ok(Identity::Reference),
            "matchRepository" => Ok(Identity::Repository),
            "exactReference" => exact(self.docker_reference, "dockerReference"),
            "exactRepository" => exact(self.docker_repository, "dockerRepository"),
            other => Err(format!("signedIdentity {other:?} can't be checked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_scope_counts() {
        let policy = Policy::parse(
            r#"{"default": [{"type": "reject"}],
                "transports": {
                  "docker-daemon": {"": [{"type": "signedBy"}]},
                  "docker": {
                    "a.example": [{"type": "insecureAcceptAnything"}],
                    "a.example/team": [{"type": "sigstoreSigned", "keyPath": "/k"}],
                    "a.example/team/open": [{"type": "insecureAcceptAnything"}],
                    "a.example/team/open:bad": [{"type": "reject"}],
                    "*.b.example": [{"type": "insecureAcceptAnything"}]}}}"#,
        );
        // A transport that is of no concern isn't read.
        let policy = policy.unwrap();
        let of = |text: &str| policy.requirements(&text.parse().unwrap())[0].clone();
        assert_eq!(of("a.example/x"), Requirement::Accept);
        assert!(matches!(of("a.example/team/x:1"), Requirement::Signed { .. }));
        assert!(matches!(of("a.example/team"), Requirement::Signed { .. }));
        assert_eq!(of("a.example/teams"), Requirement::Accept);
        assert_eq!(of("a.example/team/open/x"), Requirement::Accept);
        assert_eq!(of("a.example/team/open:bad"), Requirement::Reject);
        assert_eq!(of("x.y.b.example/i"), Requirement::Accept);
        assert_eq!(of("b.example/i"), Requirement::Reject);
        assert_eq!(of("alpine"), Requirement::Reject);
        assert!(Policy::default().requirements(&"alpine".parse().unwrap()).is_empty());
    }

    #[test]
    fn what_can_t_be_checked_is_refused() {
        for (entry, why) in [
            (r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/k"}"#, "keyType"),
            (r#"{"type": "signedBy"}"#, "signedBy"),
            (r#"{"type": "sigstoreSigned"}"#, "keyPath"),
            (r#"{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r"}"#, "rekor"),
            (r#"{"type": "sigstoreSigned", "keyData": "?"}"#, "base64"),
            (
                r#"{"type": "sigstoreSigned", "keyPath": "/k",
                    "signedIdentity": {"type": "remapIdentity"}}"#,
                "remapIdentity",
            ),
        ] {
            let text = format!(r#"{{"default": [{entry}]}}"#);
            let error = Policy::parse(&text).unwrap_err();
            assert!(error.contains(why), "{entry}: {error}");
        }
        assert!(Policy::parse(r#"{"default": []}"#).is_err());
        assert!(Policy::parse("{}").is_err());
    }
}
