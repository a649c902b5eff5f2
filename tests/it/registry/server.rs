//! Debian's `docker-registry`, started on this host for one test, and a client of a few lines to put
//! things into it that no program would push.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use wharf_model::Digest;

use crate::harness::{Lab, Out, PATIENCE, folder, run};

/// The password of `me`, and how the registry has it.
pub(crate) const PASSWORD: &str = "opensesame";
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuQbLfdQZSxZ9gjhA5V9o8Tyc6aQRO0Qi";

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A registry; dropping it ends it and removes what it has.
pub(crate) struct Registry {
    folder: PathBuf,
    child: Child,
    reader: Option<JoinHandle<()>>,
    /// `HOST:PORT`.
    pub(crate) address: String,
}

impl Registry {
    /// Starts one that anybody may use.
    pub(crate) fn plain() -> Self {
        Self::start("127.0.0.1", json!({}), &json!({}))
    }

    /// Starts one for `me` alone.
    pub(crate) fn guarded() -> Self {
        Self::start("127.0.0.1", json!({}), &json!({ "htpasswd": { "realm": "tests" } }))
    }

    /// Starts one with TLS.
    pub(crate) fn secure(tls: Value) -> Self {
        Self::start("127.0.0.1", tls, &json!({}))
    }

    fn start(host: &str, tls: Value, auth: &Value) -> Self {
        let folder = folder();
        let mut config = json!({
            "version": "0.1",
            "log": { "level": "info", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": folder.join("data") } },
            "http": { "addr": format!("{host}:0") },
        });
        if tls.as_object().is_some_and(|tls| !tls.is_empty()) {
            config["http"]["tls"] = tls;
        }
        if auth.as_object().is_some_and(|auth| !auth.is_empty()) {
            let path = folder.join("htpasswd");
            std::fs::write(&path, format!("me:{HASH}\n")).unwrap();
            config["auth"] = auth.clone();
            config["auth"]["htpasswd"]["path"] = json!(path);
        }
        // YAML is a superset of JSON.
        let path = folder.join("config.yml");
        std::fs::write(&path, config.to_string()).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry: {error}"));
        let stderr = child.stderr.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut said = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening on ") {
                    let address = rest.split(['"', ',', ' ']).next().unwrap_or_default();
                    let _ = sender.send(Ok(address.to_owned()));
                }
                said.push_str(&line);
                said.push('\n');
            }
            let _ = sender.send(Err(said));
        });
        let address = match receiver.recv_timeout(*PATIENCE) {
            Ok(Ok(address)) => address,
            other => {
                let _ = child.kill();
                panic!("docker-registry doesn't listen: {other:?}");
            }
        };
        Self { folder, child, reader: Some(reader), address }
    }

    /// Puts a blob into a repository; returns its digest.
    pub(crate) fn put_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = digest(bytes);
        let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
        let place = begun.header("location").expect("an upload begins");
        let path = place.split_once("/v2/").map(|(_, path)| format!("/v2/{path}")).unwrap();
        let separator = if path.contains('?') { '&' } else { '?' };
        let octets = [("Content-Type", "application/octet-stream")];
        let done = self.ask("PUT", &format!("{path}{separator}digest={digest}"), &octets, bytes);
        assert_eq!(done.status, 201, "{}", String::from_utf8_lossy(&done.body));
        digest
    }

    /// Puts a manifest under a tag or its digest; returns its digest.
    pub(crate) fn put_manifest(&self, place: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let (repository, selector) = place.split_once(':').unwrap();
        let path = format!("/v2/{repository}/manifests/{selector}");
        let done = self.ask("PUT", &path, &[("Content-Type", media_type)], bytes);
        assert_eq!(done.status, 201, "{}", String::from_utf8_lossy(&done.body));
        digest(bytes)
    }

    /// Puts an image of these layers, uncompressed, under a place; returns its manifest.
    pub(crate) fn put_image(&self, place: &str, machine: &str, layers: &[Vec<u8>]) -> Vec<u8> {
        let (repository, _) = place.split_once(':').unwrap();
        let diff_ids: Vec<Digest> =
            layers.iter().map(|layer| self.put_blob(repository, layer)).collect();
        let config = json!({
            "architecture": machine, "os": "linux",
            "config": { "Cmd": ["/bin/sh", "-c", format!("echo made for {machine}")] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": { "mediaType": OCI_CONFIG, "size": config.len(),
                        "digest": self.put_blob(repository, &config) },
            "layers": layers.iter().zip(&diff_ids).map(|(layer, digest)| {
                json!({ "mediaType": OCI_LAYER, "size": layer.len(), "digest": digest })
            }).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        self.put_manifest(place, OCI_MANIFEST, &manifest);
        manifest
    }

    /// Sends a request and returns the answer.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        Answer::read(&answer)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An answer to a request.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Returns the digest of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    wharf_registry::manifest::digest(bytes)
}

/// An engine and a user's folders of settings.
pub(crate) struct Desk {
    pub(crate) lab: Lab,
    folder: PathBuf,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = folder();
        std::fs::create_dir(folder.join("wharf")).unwrap();
        Self { lab: Lab::empty(), folder }
    }

    /// Returns the folder of wharf's settings.
    pub(crate) fn settings(&self) -> PathBuf {
        self.folder.join("wharf")
    }

    /// Writes its `config.toml`.
    pub(crate) fn configure(&self, settings: &str) {
        std::fs::write(self.settings().join("config.toml"), settings).unwrap();
    }

    /// Returns docker's folder.
    pub(crate) fn docker(&self) -> PathBuf {
        self.folder.join("docker")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.command(arguments);
        command.env("WHARF_CONFIG", self.settings()).env("DOCKER_CONFIG", self.docker());
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(name);
        }
        command
    }

    #[track_caller]
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Out {
        let out = run(self.command(arguments), b"");
        assert_eq!(out.code, code, "wharf {}: {out:?}", arguments.join(" "));
        out
    }

    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        self.ends(0, arguments).stdout.trim_end_matches('\n').to_owned()
    }

    #[track_caller]
    pub(crate) fn fails(&self, says: &str, arguments: &[&str]) {
        let out = self.ends(1, arguments);
        assert!(out.stderr.contains(says), "should say {says:?}, says: {}", out.stderr);
    }

    /// Returns whether an image is here.
    pub(crate) fn has(&self, image: &str) -> bool {
        run(self.command(&["image", "inspect", image]), b"").code == 0
    }

    /// Removes all images.
    pub(crate) fn forget(&self) {
        self.ok(&["image", "prune", "-af"]);
        assert_eq!(self.ok(&["images", "-aq"]), "");
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Returns the answer of another program that has to succeed.
#[track_caller]
pub(crate) fn program(name: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(name);
    command.args(arguments);
    let out = run(command, b"");
    assert_eq!(out.code, 0, "{name} {arguments:?}: {out:?}");
    out.stdout
}

/// Returns a file's path as text.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
