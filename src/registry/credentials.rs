//! Who the user is at registries, as docker keeps it: `config.json`, and the programs it names
//! (`docker-credential-*`), which keep the secrets themselves.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::Serialize;
use serde_json::{Map, Value, json};
use wharf_model::ErrorKind;

use crate::settings::HUB;
use crate::{Error, Result, helper};

/// The name under which Docker Hub's credentials are kept.
pub(crate) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// The file in docker's folder.
const FILE: &str = "config.json";

/// A name and a secret, or a token instead. It never shows itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    /// The name; empty with a token.
    pub username: String,
    /// The password; empty with a token.
    pub password: String,
    /// What stands for both, at registries that hand such tokens out.
    pub identity_token: String,
    /// What is sent as it is.
    pub registry_token: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credential {
    /// Returns a name and its password.
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self { username: username.into(), password: password.into(), ..Self::default() }
    }

    /// Returns whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// Reads the header with which a Docker engine is handed credentials; none where it says nothing.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn from_client(header: &str) -> Result<Option<Self>> {
        use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
        let lenient =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let wrong =
            || Error::invalid("invalid X-Registry-Auth header: it must be JSON in base64url");
        if header.is_empty() {
            return Ok(None);
        }
        let alphabets = [base64::alphabet::URL_SAFE, base64::alphabet::STANDARD];
        let text = alphabets
            .iter()
            .find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(header).ok())
            .ok_or_else(wrong)?;
        let document: Value = serde_json::from_slice(&text).map_err(|_| wrong())?;
        Ok(Some(Self::from_document(&document)).filter(|credential| !credential.is_empty()))
    }

    /// Reads docker's document of a credential.
    pub fn from_document(document: &Value) -> Self {
        let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
        Self {
            username: text("username"),
            password: text("password"),
            identity_token: text("identitytoken"),
            registry_token: text("registrytoken"),
        }
    }

    /// Returns the header with which a Docker engine is handed credentials for `domain`.
    pub fn for_engine(&self, domain: &str) -> String {
        let document = json!({
            "username": self.username,
            "password": self.password,
            "identitytoken": self.identity_token,
            "registrytoken": self.registry_token,
            "serveraddress": key(domain),
        });
        URL_SAFE.encode(document.to_string())
    }
}

/// Where a secret was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In a helper's care.
    Helper(String),
    /// In this file, for whoever may read it.
    File(PathBuf),
}

/// Docker's `config.json` of this user.
#[derive(Clone, Debug, Default)]
pub struct CredentialStore {
    folder: Option<PathBuf>,
    /// Who the user is at one registry, instead of all that.
    only: Option<(String, Credential)>,
}

/// Returns the name under which a registry's credentials are kept.
pub fn key(domain: &str) -> &str {
    if domain == HUB { HUB_KEY } else { domain }
}

/// Returns the registry's name in references of what users call it.
///
/// # Errors
/// When it is none.
pub fn domain(server: &str) -> Result<&str> {
    let rest = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://"));
    let host = rest.unwrap_or(server).split('/').next().unwrap_or_default();
    let host = match host {
        "" | "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB,
        host => host,
    };
    if format!("{host}/x").parse::<wharf_model::ImageReference>().is_err()
        || !(host.contains(['.', ':']) || host == "localhost")
    {
        return Err(Error::invalid(format!("{server:?} is not a registry: give HOST[:PORT]")));
    }
    Ok(host)
}

impl CredentialStore {
    /// Returns the store in docker's folder; without one, nobody is known.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, only: None }
    }

    /// Returns the store of somebody who is known at one registry alone.
    pub fn only(domain: &str, credential: Credential) -> Self {
        Self { folder: None, only: Some((domain.to_owned(), credential)) }
    }

    /// Returns who the user is at a registry, if that is known. Starts a helper where the file names
    /// one, so it may take a while.
    ///
    /// # Errors
    /// When the file can't be read, or a helper fails.
    pub fn get(&self, domain: &str) -> Result<Option<Credential>> {
        if let Some((known, credential)) = &self.only {
            let is_known = known == domain && !credential.is_empty();
            return Ok(is_known.then(|| credential.clone()));
        }
        let Some(document) = self.document()? else { return Ok(None) };
        let key = key(domain);
        if let Some(helper) = helper_for(&document, key) {
            return helper::get(&helper, key);
        }
        let Some(entries) = document.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        // Old files have addresses where hosts stand now.
        let entry = entries.get(key).or_else(|| {
            entries.iter().find(|(name, _)| hostname(name) == hostname(key)).map(|(_, entry)| entry)
        });
        entry.map_or(Ok(None), |entry| self.entry(entry, domain))
    }

    fn entry(&self, entry: &Value, domain: &str) -> Result<Option<Credential>> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
        let mut credential = Credential {
            username: text("username"),
            password: text("password"),
            identity_token: text("identitytoken"),
            registry_token: text("registrytoken"),
        };
        let encoded = text("auth");
        if !encoded.is_empty() {
            let wrong = || {
                Error::invalid(format!(
                    "{}: invalid auth configuration file: what it says of {domain} can't be read: \
                     log in anew",
                    self.path().display()
                ))
            };
            let decoded = STANDARD.decode(encoded.trim_end_matches('\0')).map_err(|_| wrong())?;
            let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
            let (username, password) = decoded.split_once(':').ok_or_else(wrong)?;
            username.clone_into(&mut credential.username);
            password.trim_end_matches('\0').clone_into(&mut credential.password);
        }
        Ok(Some(credential).filter(|credential| !credential.is_empty()))
    }

    /// Keeps a credential for a registry.
    ///
    /// # Errors
    /// When there is no home for the file, it can't be written, or a helper fails.
    pub fn store(&self, domain: &str, credential: &Credential) -> Result<Kept> {
        let mut document = self.document()?.unwrap_or_default();
        let key = key(domain);
        let helper = helper_for(&document, key);
        let mut entry = Map::new();
        if let Some(helper) = &helper {
            helper::store(helper, key, credential)?;
        } else if credential.identity_token.is_empty() {
            let both = format!("{}:{}", credential.username, credential.password);
            entry.insert("auth".to_owned(), STANDARD.encode(both).into());
        } else {
            let name = format!("{}:", credential.username);
            entry.insert("auth".to_owned(), STANDARD.encode(name).into());
            entry.insert("identitytoken".to_owned(), credential.identity_token.clone().into());
        }
        let auths = document.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        if !auths.is_object() {
            *auths = Value::Object(Map::new());
        }
        if let Some(auths) = auths.as_object_mut() {
            // With a helper an empty entry, from which docker knows that there is one to ask for.
            auths.insert(key.to_owned(), Value::Object(entry));
        }
        let path = self.write(&document)?;
        Ok(helper.map_or(Kept::File(path), Kept::Helper))
    }

    /// Forgets a registry's credential; returns whether there was one.
    ///
    /// # Errors
    /// When the file can't be written, or a helper fails.
    pub fn erase(&self, domain: &str) -> Result<bool> {
        let Some(mut document) = self.document()? else { return Ok(false) };
        let key = key(domain);
        let mut was_there = false;
        if let Some(helper) = helper_for(&document, key) {
            was_there = helper::get(&helper, key)?.is_some();
            if was_there {
                helper::erase(&helper, key)?;
            }
        }
        if let Some(auths) = document.get_mut("auths").and_then(Value::as_object_mut) {
            let before = auths.len();
            auths.retain(|name, _| name != key && hostname(name) != hostname(key));
            if auths.len() != before {
                was_there = true;
                self.write(&document)?;
            }
        }
        Ok(was_there)
    }

    fn path(&self) -> PathBuf {
        self.folder.as_deref().unwrap_or_else(|| Path::new("")).join(FILE)
    }

    fn document(&self) -> Result<Option<Map<String, Value>>> {
        if self.folder.is_none() {
            return Ok(None);
        }
        let path = self.path();
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => {
                return Err(Error::invalid(format!("read {}: {cause}", path.display())));
            }
        };
        // The parser's complaint would quote what may be a secret.
        serde_json::from_slice(&text).map(Some).map_err(|cause| {
            Error::invalid(format!(
                "{}: invalid configuration file: line {}, column {}",
                path.display(),
                cause.line(),
                cause.column()
            ))
        })
    }

    /// Writes the file beside itself and renames it, so that nobody sees half of it; a link stays
    /// one.
    fn write(&self, document: &Map<String, Value>) -> Result<PathBuf> {
        let Some(folder) = &self.folder else {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "there is no place for credentials: set HOME or DOCKER_CONFIG",
            ));
        };
        let shown = folder.join(FILE);
        let failed = |cause: io::Error| {
            Error::new(ErrorKind::Internal, format!("write {}: {cause}", shown.display()))
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let path = std::fs::canonicalize(&shown).unwrap_or_else(|_| shown.clone());
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        document.serialize(&mut serializer).map_err(|cause| failed(io::Error::other(cause)))?;
        let name = format!("{FILE}.{}.tmp", std::process::id());
        let temporary = path.with_file_name(name);
        let written = (|| {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            // An existing file keeps its owner and mode, but nobody else's reading is made worse.
            if let Ok(old) = std::fs::metadata(&path) {
                use std::os::unix::fs::MetadataExt;
                let _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
            }
            std::fs::rename(&temporary, &path)
        })();
        if written.is_err() {
            // Why it failed is what counts.
            let _ = std::fs::remove_file(&temporary);
        }
        written.map_err(failed)?;
        Ok(shown)
    }
}

/// Returns the helper in whose care a registry's credential is.
fn helper_for(document: &Map<String, Value>, key: &str) -> Option<String> {
    let own = document.get("credHelpers").and_then(|helpers| helpers.get(key));
    let helper = own.or_else(|| document.get("credsStore")).and_then(Value::as_str)?;
    Some(helper.to_owned()).filter(|helper| !helper.is_empty())
}

/// Returns the host of a name under which credentials are kept.
fn hostname(name: &str) -> &str {
    let rest = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://"));
    rest.unwrap_or(name).split('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn docker_s_file_is_read_and_written_with_all_else_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = CredentialStore::new(Some(folder.path().join("docker")));
        assert_eq!(store.get("a.example").unwrap(), None);
        assert!(!store.erase("a.example").unwrap());
        let credential = Credential::password("me", "s:cret");
        let kept = store.store("a.example", &credential).unwrap();
        let path = folder.path().join("docker/config.json");
        assert_eq!(kept, Kept::File(path.clone()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(store.get("a.example").unwrap(), Some(credential));
        assert!(!format!("{:?}", store.get("a.example")).contains("cret"));

        let old = r#"{"HttpHeaders":{"X":"1"},"auths":{"https://b.example/v1/":{"auth":"bWU6cHc="},
            "https://index.docker.io/v1/":{"auth":"aHViOg==","identitytoken":"tok"},
            "c.example":{"auth":"!!"}},"psFormat":"x"}"#;
        std::fs::write(&path, old).unwrap();
        assert_eq!(store.get("b.example").unwrap(), Some(Credential::password("me", "pw")));
        let hub = store.get("docker.io").unwrap().unwrap();
        assert_eq!((hub.username.as_str(), hub.identity_token.as_str()), ("hub", "tok"));
        assert!(store.get("c.example").unwrap_err().message.contains("c.example"));
        assert!(store.erase("b.example").unwrap());
        assert!(store.erase("docker.io").unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("HttpHeaders") && text.contains("psFormat"), "{text}");
        assert!(!text.contains("b.example") && !text.contains("index.docker.io"), "{text}");
        let names: Vec<_> = std::fs::read_dir(folder.path().join("docker")).unwrap().collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn a_damaged_file_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), "{\"auths\": secret").unwrap();
        let store = CredentialStore::new(Some(folder.path().to_owned()));
        let error = store.get("a.example").unwrap_err().message;
        assert!(error.contains("config.json") && !error.contains("secret"), "{error}");
        assert!(store.store("a.example", &Credential::password("a", "b")).is_err());
        let error = CredentialStore::new(None).store("a", &Credential::password("a", "b"));
        assert!(error.unwrap_err().message.contains("DOCKER_CONFIG"));
    }
}
