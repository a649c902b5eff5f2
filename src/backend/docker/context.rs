//! Docker's contexts: names for engines, in docker's own files, which its programs share.
//!
//! `contexts/meta/KEY/meta.json` says where an engine is, `contexts/tls/KEY/docker` has its certificates;
//! KEY is the SHA-256 of the name. `config.json` says which is the current one.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wharf_model::ErrorKind;

use super::address::{Address, Tls};
use crate::{Error, Result};

/// The context that stands for no context.
pub const DEFAULT: &str = "default";

/// A named engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// What its user says of it.
    pub description: String,
    /// The address: `ssh://host`.
    pub host: String,
    /// Its certificates, for `tcp` alone.
    pub tls: Option<Tls>,
    /// The document of it.
    pub document: Value,
}

impl Context {
    /// Returns where its engine is.
    ///
    /// # Errors
    /// When the address has no form that is known.
    pub fn address(&self) -> Result<Address> {
        Address::parse(&self.host, self.tls.clone()).map_err(|error| {
            Error::new(error.kind, format!("context {:?}: {}", self.name, error.message))
        })
    }
}

/// The contexts in docker's folder.
#[derive(Clone, Debug)]
pub struct Contexts {
    folder: PathBuf,
}

impl Contexts {
    /// Returns those in this folder: `~/.docker`, or `DOCKER_CONFIG`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Returns the name of the current one, unless that is [`DEFAULT`].
    ///
    /// # Errors
    /// When `config.json` can't be read.
    pub fn current(&self) -> Result<Option<String>> {
        let name = self.config()?.get("currentContext").and_then(Value::as_str).map(str::to_owned);
        Ok(name.filter(|name| !name.is_empty() && name != DEFAULT))
    }

    /// Returns all but [`DEFAULT`], by name.
    ///
    /// # Errors
    /// When one of them can't be read.
    pub fn list(&self) -> Result<Vec<Context>> {
        let mut list = Vec::new();
        let folders = match std::fs::read_dir(self.folder.join("contexts/meta")) {
            Ok(folders) => folders,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(list),
            Err(cause) => return Err(unreadable(&self.folder.join("contexts/meta"), &cause)),
        };
        for folder in folders.flatten() {
            let file = folder.path().join("meta.json");
            if file.exists() {
                list.push(self.read(&file)?);
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// Returns one.
    ///
    /// # Errors
    /// When there is none of this name, or it can't be read.
    pub fn get(&self, name: &str) -> Result<Context> {
        let file = self.meta(name).join("meta.json");
        if !is_name(name) || !file.exists() {
            let text = format!("context {name:?} does not exist: wharf context ls names them all");
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        self.read(&file)
    }

    /// Makes the current one what this name says; [`DEFAULT`] leaves none.
    ///
    /// # Errors
    /// When there is none of this name, or the file can't be written.
    pub fn use_context(&self, name: &str) -> Result<()> {
        if name != DEFAULT {
            self.get(name)?;
        }
        let mut config = self.config()?;
        let Some(table) = config.as_object_mut() else {
            return Err(unreadable(&self.config_file(), &"it is no JSON object"));
        };
        match name {
            DEFAULT => table.remove("currentContext"),
            name => table.insert("currentContext".to_owned(), json!(name)),
        };
        self.write(&self.config_file(), &config)
    }

    /// Makes a context; certificates are copied.
    ///
    /// # Errors
    /// When there is one of this name, the address has no form that is known, or files can't be read or
    /// written; nothing is left then.
    pub fn create(
        &self,
        name: &str,
        description: &str,
        host: &str,
        tls: Option<&Tls>,
    ) -> Result<()> {
        let invalid = |text: String| Err(Error::new(ErrorKind::Invalid, text));
        if name == DEFAULT {
            return invalid(format!("{name:?} is a reserved context name"));
        }
        if !is_name(name) {
            return invalid(format!(
                "context name {name:?} is invalid: names are letters, digits, '.', '_', '+' and \
                 '-', and begin with a letter or a digit"
            ));
        }
        Address::parse(host, None)?;
        if self.meta(name).join("meta.json").exists() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("context {name:?} already exists"),
            ));
        }
        let mut metadata = serde_json::Map::new();
        if !description.is_empty() {
            metadata.insert("Description".to_owned(), json!(description));
        }
        let skips = tls.is_some_and(|tls| !tls.verify);
        let document = json!({
            "Name": name,
            "Metadata": metadata,
            "Endpoints": { "docker": { "Host": host, "SkipTLSVerify": skips } },
        });
        let done = self.copy_certificates(name, tls).and_then(|()| {
            let folder = self.meta(name);
            std::fs::create_dir_all(&folder).map_err(|cause| unwritable(&folder, &cause))?;
            self.write(&folder.join("meta.json"), &document)
        });
        if done.is_err() {
            let _ = std::fs::remove_dir_all(self.meta(name));
            let _ = std::fs::remove_dir_all(self.certificates(name));
        }
        done
    }

    /// Removes a context; the current one only by `force`.
    ///
    /// # Errors
    /// When there is none of this name, it is in use, or it can't be removed.
    pub fn remove(&self, name: &str, force: bool) -> Result<()> {
        if name == DEFAULT {
            let text = format!("context {name:?} cannot be removed");
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let folder = self.meta(name);
        if !is_name(name) || !folder.exists() {
            let text = format!("context {name:?} does not exist");
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        let current = self.current()?.as_deref() == Some(name);
        if current && !force {
            let text = format!("context {name:?} is in use: 'wharf context use default', or rm -f");
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        std::fs::remove_dir_all(&folder).map_err(|cause| unwritable(&folder, &cause))?;
        match std::fs::remove_dir_all(self.certificates(name)) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(unwritable(&self.certificates(name), &cause));
            }
            _ => {}
        }
        if current { self.use_context(DEFAULT) } else { Ok(()) }
    }

    fn read(&self, file: &Path) -> Result<Context> {
        let text = std::fs::read_to_string(file).map_err(|cause| unreadable(file, &cause))?;
        let document: Value =
            serde_json::from_str(&text).map_err(|cause| unreadable(file, &cause))?;
        let text = |pointer: &str| {
            document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let name = text("/Name");
        if name.is_empty() {
            return Err(unreadable(file, &"it has no name"));
        }
        let skips = document.pointer("/Endpoints/docker/SkipTLSVerify").and_then(Value::as_bool);
        let folder = self.certificates(&name).join("docker");
        // Where nothing is said of TLS, tcp is plain.
        let tls = (folder.exists() || skips == Some(true))
            .then(|| Tls::in_folder(&folder, !skips.unwrap_or_default()));
        let host = text("/Endpoints/docker/Host");
        let description = text("/Metadata/Description");
        Ok(Context { name, description, host, tls, document })
    }

    fn copy_certificates(&self, name: &str, tls: Option<&Tls>) -> Result<()> {
        let Some(tls) = tls else { return Ok(()) };
        let folder = self.certificates(name).join("docker");
        std::fs::create_dir_all(&folder).map_err(|cause| unwritable(&folder, &cause))?;
        let client = tls.client.as_ref();
        for (from, to) in [
            (tls.authority.as_ref(), "ca.pem"),
            (client.map(|(certificate, _)| certificate), "cert.pem"),
            (client.map(|(_, key)| key), "key.pem"),
        ] {
            let Some(from) = from else { continue };
            let bytes = std::fs::read(from).map_err(|cause| unreadable(from, &cause))?;
            write_private(&folder.join(to), &bytes)?;
        }
        Ok(())
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("config.json")
    }

    fn config(&self) -> Result<Value> {
        let file = self.config_file();
        match std::fs::read_to_string(&file) {
            Ok(text) if text.trim().is_empty() => Ok(json!({})),
            Ok(text) => serde_json::from_str(&text).map_err(|cause| unreadable(&file, &cause)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(json!({})),
            Err(cause) => Err(unreadable(&file, &cause)),
        }
    }

    /// Writes a document in place of what is there, whole or not at all.
    fn write(&self, file: &Path, document: &Value) -> Result<()> {
        let folder = file.parent().unwrap_or(&self.folder);
        std::fs::create_dir_all(folder).map_err(|cause| unwritable(folder, &cause))?;
        // Docker's programs indent with a tab.
        let mut bytes = Vec::new();
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut writer = serde_json::Serializer::with_formatter(&mut bytes, indent);
        serde::Serialize::serialize(document, &mut writer)
            .map_err(|cause| unwritable(file, &cause))?;
        // A link leads to the file that is meant.
        let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let mut new = file.clone().into_os_string();
        new.push(format!(".{}", std::process::id()));
        let new = PathBuf::from(new);
        write_private(&new, &bytes)?;
        std::fs::rename(&new, &file).map_err(|cause| {
            let _ = std::fs::remove_file(&new);
            unwritable(&file, &cause)
        })
    }

    fn meta(&self, name: &str) -> PathBuf {
        self.folder.join("contexts/meta").join(key(name))
    }

    fn certificates(&self, name: &str) -> PathBuf {
        self.folder.join("contexts/tls").join(key(name))
    }
}

/// Returns what a context's folders are called.
fn key(name: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns whether docker would take this name.
fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && letters.all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte))
}

fn write_private(file: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
    opened.and_then(|mut file| file.write_all(bytes)).map_err(|cause| unwritable(file, &cause))
}

fn unreadable(file: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("read {}: {cause}", file.display()))
}

fn unwritable(file: &Path, cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Internal, format!("write {}: {cause}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As docker 20.10 wrote it.
    const META: &str = r#"{"Name":"far","Metadata":{"Description":"the far one"},
        "Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#;

    #[test]
    fn what_docker_wrote_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = Contexts::new(folder.path());
        assert_eq!(contexts.list().unwrap(), []);
        assert_eq!(contexts.current().unwrap(), None);
        // printf far | sha256sum
        let key = "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868";
        assert_eq!(super::key("far"), key);
        let meta = folder.path().join("contexts/meta").join(key);
        std::fs::create_dir_all(&meta).unwrap();
        std::fs::write(meta.join("meta.json"), META).unwrap();
        let tls = folder.path().join("contexts/tls").join(key).join("docker");
        std::fs::create_dir_all(&tls).unwrap();
        std::fs::write(tls.join("ca.pem"), "x").unwrap();
        std::fs::write(folder.path().join("config.json"), r#"{"currentContext":"far"}"#).unwrap();

        let far = contexts.get("far").unwrap();
        assert_eq!((far.name.as_str(), far.description.as_str()), ("far", "the far one"));
        let wanted = Tls { authority: Some(tls.join("ca.pem")), client: None, verify: true };
        assert_eq!(far.tls, Some(wanted));
        assert_eq!(far.address().unwrap().to_string(), "tcp://far:2376");
        assert_eq!(contexts.current().unwrap().as_deref(), Some("far"));
        assert_eq!(contexts.list().unwrap(), [far]);
        let missing = contexts.get("nope").unwrap_err();
        assert!(missing.message.contains("does not exist"), "{missing}");
        assert!(contexts.get("../far").is_err());
    }

    #[test]
    fn contexts_are_made_used_and_removed_and_the_rest_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = Contexts::new(folder.path());
        let config = folder.path().join("config.json");
        std::fs::write(&config, r#"{"auths":{"a":{}},"psFormat":"x"}"#).unwrap();
        contexts.create("one", "", "ssh://one", None).unwrap();
        let again = contexts.create("one", "", "ssh://one", None).unwrap_err();
        assert_eq!(again.kind, ErrorKind::Conflict);
        for (name, host) in
            [("default", "ssh://x"), ("a b", "ssh://x"), ("two", "x"), ("", "ssh://x")]
        {
            assert!(contexts.create(name, "", host, None).is_err(), "{name} {host}");
        }
        let absent = Tls { authority: Some(folder.path().join("none")), ..Tls::default() };
        assert!(contexts.create("two", "", "tcp://two", Some(&absent)).is_err());
        assert_eq!(contexts.list().unwrap().len(), 1, "nothing is left of what failed");

        contexts.use_context("one").unwrap();
        assert!(contexts.use_context("nope").is_err());
        let kept: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
        assert_eq!(kept, json!({"auths":{"a":{}},"psFormat":"x","currentContext":"one"}));
        assert_eq!(contexts.remove("one", false).unwrap_err().kind, ErrorKind::Conflict);
        contexts.remove("one", true).unwrap();
        assert_eq!(contexts.current().unwrap(), None);
        assert_eq!(contexts.remove("one", true).unwrap_err().kind, ErrorKind::NotFound);
        assert!(contexts.remove("default", true).is_err());
    }
}
