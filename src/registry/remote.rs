//! One repository in its registry, and in the registry's mirrors.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, LINK};
use reqwest::{Method, Response};
use serde::Deserialize;
use wharf_model::{Digest, ErrorKind, ImageReference, Repository};

use crate::auth::{Asked, Challenge, basic, log_in};
use crate::blob::{BlobStream, OnRetry};
use crate::endpoint::{Ask, Endpoint, challenge_of, refusal};
use crate::http::{ANSWER, Http, LONGEST_DOCUMENT, Request, Resolve, limited};
use crate::manifest::{ACCEPTED, Content, Descriptor, ImageManifest, Manifest, digest};
use crate::platform::Platform;
use crate::settings::{Folders, Settings};
use crate::upload::{Destination, Upload, Uploaded, put_manifest};
use crate::{Credential, CredentialStore, Error, Result, cosign};

/// How often an index may lead to another.
const NESTED: usize = 3;

/// Is told in a sentence what a mirror is not believed, and who is asked instead.
pub type Warn = Arc<dyn Fn(String) + Send + Sync>;

/// How often a document that breaks off is asked for again.
const BREAKS: u32 = 2;

/// The most tags of one repository.
const MOST_TAGS: usize = 100_000;

/// All registries, as this user sees them. Connections, tokens and certificates are shared by all
/// that is done through one of these.
pub struct Registries {
    settings: Arc<Settings>,
    store: CredentialStore,
    http: Arc<Http>,
    endpoints: Mutex<HashMap<String, Arc<Endpoint>>>,
}

impl Registries {
    /// Returns the registries as the files in these folders describe them.
    ///
    /// # Errors
    /// When a file can't be understood.
    pub fn open(folders: &Folders, resolve: Resolve) -> Result<Self> {
        let store = CredentialStore::new(folders.docker.clone());
        Ok(Self::new(Settings::read(folders)?, store, resolve))
    }

    /// Returns the registries with these settings.
    pub fn new(settings: Settings, store: CredentialStore, resolve: Resolve) -> Self {
        let settings = Arc::new(settings);
        let http = Arc::new(Http::new(Arc::clone(&settings), resolve));
        Self { settings, store, http, endpoints: Mutex::default() }
    }

    /// Returns who the user is at registries.
    pub fn credentials(&self) -> &CredentialStore {
        &self.store
    }

    /// Returns one repository.
    pub fn repository(&self, repository: &Repository) -> Remote {
        let domain = repository.domain();
        let own = self.endpoint(domain, || Endpoint::own(&self.http, &self.store, domain));
        let mirrors = self.settings.mirrors(domain).iter().map(|address| {
            self.endpoint(address, || Endpoint::mirror(&self.http, &self.store, address))
        });
        let mut sources: Vec<Arc<Endpoint>> = mirrors.collect();
        sources.push(Arc::clone(&own));
        Remote {
            repository: repository.clone(),
            sources,
            own,
            settings: Arc::clone(&self.settings),
            warn: Arc::new(|_| ()),
        }
    }

    fn endpoint(&self, name: &str, make: impl FnOnce() -> Endpoint) -> Arc<Endpoint> {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(endpoints.entry(name.to_owned()).or_insert_with(|| Arc::new(make())))
    }

    /// Tries a credential at a registry; returns what to keep, which may have a token in place of the
    /// password.
    ///
    /// # Errors
    /// When the registry refuses it, or can't be reached.
    pub async fn log_in(&self, domain: &str, credential: Credential) -> Result<Credential> {
        let endpoint = Endpoint::own(&self.http, &CredentialStore::default(), domain);
        let base = endpoint.base().await?;
        let ask = async |authorization| {
            let request = Request {
                method: Method::GET,
                url: base.clone(),
                headers: &reqwest::header::HeaderMap::new(),
                authorization,
                body: &reqwest::Body::default,
                patience: ANSWER,
            };
            endpoint.http().exchange(&request).await.map_err(|failure| failure.error)
        };
        let first = ask(None).await?;
        let (header, token) = match challenge_of(&first) {
            _ if first.status().is_success() => return Ok(credential),
            None => return Err(refusal(first).await),
            Some(Challenge::Basic) => (basic(&credential)?, String::new()),
            Some(Challenge::Bearer { realm, service, .. }) => {
                let asked = Asked { realm: &realm, service: &service, scope: "", offline: true };
                log_in(endpoint.http(), &asked, &credential).await?
            }
        };
        let second = ask(Some(&header)).await?;
        if second.status().as_u16() == 401 {
            let text = "unauthorized: incorrect username or password";
            return Err(Error::new(ErrorKind::Denied, text));
        }
        if !second.status().is_success() {
            return Err(refusal(second).await);
        }
        Ok(match token.is_empty() {
            true => credential,
            false => Credential { identity_token: token, password: String::new(), ..credential },
        })
    }
}

/// One repository.
#[derive(Clone)]
pub struct Remote {
    repository: Repository,
    /// Where it is read from: mirrors, and at last the registry.
    sources: Vec<Arc<Endpoint>>,
    own: Arc<Endpoint>,
    settings: Arc<Settings>,
    warn: Warn,
}

/// What a reference turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What the reference stands for in the registry: a manifest, or an index.
    pub digest: Digest,
    /// The manifest of the image that this machine gets.
    pub manifest: Manifest,
    /// What that says.
    pub content: ImageManifest,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Remote {
    /// Returns the same repository, which tells this of mirrors that aren't believed.
    #[must_use]
    pub fn warning(self, warn: Warn) -> Self {
        Self { warn, ..self }
    }

    /// Returns which source is asked after one whose blob was wrong, and says so; none after the
    /// registry itself, which has the last word.
    pub fn source_after(&self, source: usize, why: &str) -> Option<usize> {
        let next = source + 1;
        let (false_one, other) = (self.sources.get(source)?, self.sources.get(next)?);
        let (name, other) = (false_one.name(), other.name());
        (self.warn)(format!("Warning: mirror {name} is not believed: {why}: asking {other}"));
        Some(next)
    }

    fn pull_scope(&self) -> String {
        format!("repository:{}:pull", self.repository.path())
    }

    fn push_scope(&self) -> String {
        format!("repository:{}:pull,push", self.repository.path())
    }

    fn manifest_path(&self, selector: &str) -> String {
        format!("{}/manifests/{selector}", self.repository.path())
    }

    /// Returns the digest of what a tag stands for, if the registry tells it without sending it.
    ///
    /// # Errors
    /// When there is no such tag, or the registry can't be asked.
    pub async fn head(&self, selector: &str) -> Result<Option<Digest>> {
        let mut last = None;
        for source in &self.sources {
            // What a mirror says against it doesn't count: the registry has the last word.
            match self.ask(source, Method::HEAD, selector).await {
                Ok(response) => {
                    let header = response.headers().get("docker-content-digest");
                    let text = header.and_then(|value| value.to_str().ok());
                    return Ok(text.and_then(|text| text.parse().ok()));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(nobody))
    }

    /// Returns the manifest under a tag or digest, verified as far as the digest is known.
    ///
    /// # Errors
    /// When there is none, it can't be read, or it is another than the digest says.
    pub async fn manifest(&self, selector: &str, expected: Option<&Digest>) -> Result<Manifest> {
        let mut last = None;
        for (index, source) in self.sources.iter().enumerate() {
            let error = match self.manifest_of(source, selector, expected).await {
                Ok(manifest) => return Ok(manifest),
                Err(error) => error,
            };
            if error.kind == ErrorKind::Invalid {
                self.source_after(index, &error.message);
            }
            last = Some(error);
        }
        Err(last.unwrap_or_else(nobody))
    }

    async fn manifest_of(
        &self,
        source: &Endpoint,
        selector: &str,
        expected: Option<&Digest>,
    ) -> Result<Manifest> {
        let mut broken = 0;
        let (content_type, stated, bytes) = loop {
            let response = self.ask(source, Method::GET, selector).await?;
            let header = |name: &str| {
                let value = response.headers().get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            let (content_type, stated) =
                (header(CONTENT_TYPE.as_str()), header("docker-content-digest"));
            match limited(response, LONGEST_DOCUMENT).await {
                // The answer broke off.
                Err(error) if error.kind == ErrorKind::Unavailable && broken < BREAKS => {
                    broken += 1;
                }
                bytes => break (content_type, stated, bytes?),
            }
        };
        let found = digest(&bytes);
        let stated = stated.parse::<Digest>().ok();
        if let Some(wanted) = expected.or(stated.as_ref()).filter(|wanted| **wanted != found) {
            return Err(Error::invalid(format!(
                "manifest verification failed for digest {wanted}: what the registry sent is {found}"
            )));
        }
        Manifest::new(bytes, &content_type, &self.shown(selector))
    }

    /// Asks a source for a manifest.
    async fn ask(&self, source: &Endpoint, method: Method, selector: &str) -> Result<Response> {
        let scope = self.pull_scope();
        let mut ask = Ask::new(method, self.manifest_path(selector), &scope);
        for kind in ACCEPTED {
            ask = ask.header("accept", kind);
        }
        match source.send(&ask).await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(self.missing(response, selector).await),
            Err(failed) => Err(failed.error),
        }
    }

    async fn missing(&self, response: Response, selector: &str) -> Error {
        let error = refusal(response).await;
        let message = match error.kind {
            ErrorKind::Denied => format!(
                "pull access denied for {}, repository does not exist or may require 'wharf login': \
                 {}",
                self.repository.familiar(),
                error.message
            ),
            ErrorKind::NotFound if error.message.starts_with("name unknown") => format!(
                "pull access denied for {}, repository does not exist or may require 'wharf login'",
                self.repository.familiar()
            ),
            ErrorKind::NotFound => {
                let why = if error.message.starts_with("unexpected status") {
                    "manifest unknown".to_owned()
                } else {
                    error.message
                };
                format!("manifest for {} not found: {why}", self.shown(selector))
            }
            _ => format!("{}: {}", self.shown(selector), error.message),
        };
        Error::new(error.kind, message)
    }

    fn shown(&self, selector: &str) -> String {
        let separator = if selector.starts_with("sha256:") { '@' } else { ':' };
        format!("{}{separator}{selector}", self.repository.familiar())
    }

    /// Returns the image that a tag or digest stands for, for a machine.
    ///
    /// # Errors
    /// When there is none for that machine, or it isn't an image.
    pub async fn resolve(&self, selector: &str, platform: &Platform) -> Result<Resolved> {
        let expected: Option<Digest> = selector.parse().ok();
        let mut manifest = self.manifest(selector, expected.as_ref()).await?;
        let digest = manifest.digest.clone();
        for _ in 0..=NESTED {
            match manifest.content()? {
                Content::Image(content) => {
                    content.check(&self.shown(selector))?;
                    return Ok(Resolved { digest, manifest, content: *content });
                }
                Content::Index(entries) => {
                    let chosen = platform.choose(&entries).ok_or_else(|| {
                        Error::new(
                            ErrorKind::NotFound,
                            format!(
                                "no matching manifest for {platform} in the manifest list entries \
                                 of {}",
                                self.shown(selector)
                            ),
                        )
                    })?;
                    manifest = self.manifest(chosen.digest.as_str(), Some(&chosen.digest)).await?;
                }
            }
        }
        Err(Error::invalid(format!("{}: its lists lead nowhere", self.shown(selector))))
    }

    /// Returns whether the policy lets everything be taken, whoever signed it.
    pub fn is_unconditional(&self, reference: &ImageReference) -> bool {
        use crate::policy::Requirement;
        let requirements = self.settings.policy.requirements(reference);
        requirements.iter().all(|requirement| *requirement == Requirement::Accept)
    }

    /// Returns an error unless the signature policy lets an image be taken.
    ///
    /// # Errors
    /// When it doesn't.
    pub async fn check_policy(&self, reference: &ImageReference, image: &Resolved) -> Result<()> {
        let mut digests = vec![&image.digest];
        if image.manifest.digest != image.digest {
            digests.push(&image.manifest.digest);
        }
        cosign::check(&self.settings.policy, self, reference, &digests).await
    }

    /// Returns a blob that fits into memory, verified.
    ///
    /// # Errors
    /// When it is longer than `most`, another than its digest says, or can't be had.
    pub async fn small_blob(&self, blob: &Descriptor, most: u64) -> Result<Bytes> {
        if blob.size > most {
            let text = format!("blob {}: its {} bytes are too many", blob.digest, blob.size);
            return Err(Error::invalid(text));
        }
        let mut source = 0;
        loop {
            let mut stream = self.blob(blob, source, Box::new(|_| ()));
            let origin = stream.origin();
            let mut bytes = Vec::new();
            while let Some(chunk) = stream.next().await? {
                bytes.extend_from_slice(&chunk);
            }
            let found = digest(&bytes);
            if found == blob.digest {
                return Ok(bytes.into());
            }
            let why =
                format!("blob {}: digest mismatch: what the registry sent is {found}", blob.digest);
            match self.source_after(origin.first(), &why) {
                Some(next) => source = next,
                None => return Err(Error::invalid(why)),
            }
        }
    }

    /// Returns a blob as a stream, from a source of this number (the first is 0) or one after it.
    pub fn blob(&self, blob: &Descriptor, source: usize, on_retry: OnRetry) -> BlobStream {
        BlobStream::new(
            (self.sources.clone(), source),
            self.repository.path(),
            self.pull_scope(),
            (&blob.digest, blob.size),
            (on_retry, Arc::clone(&self.warn)),
        )
    }

    /// Returns the repository's tags.
    ///
    /// # Errors
    /// When it isn't there, or the registry can't be asked.
    pub async fn tags(&self) -> Result<Vec<String>> {
        let scope = self.pull_scope();
        let mut path = format!("{}/tags/list", self.repository.path());
        let mut tags = Vec::new();
        loop {
            let response =
                self.own.send(&Ask::get(path, &scope)).await.map_err(|failed| failed.error)?;
            if !response.status().is_success() {
                return Err(self.missing(response, "").await);
            }
            let next = next_page(&response);
            let body = limited(response, LONGEST_DOCUMENT).await?;
            let page: Tags = serde_json::from_slice(&body).map_err(|cause| {
                Error::unavailable(format!("tags of {}: {cause}", self.repository.familiar()))
            })?;
            let page = page.tags.unwrap_or_default();
            let more = !page.is_empty();
            tags.extend(page);
            if tags.len() > MOST_TAGS {
                let text = format!("{} has too many tags", self.repository.familiar());
                return Err(Error::invalid(text));
            }
            match next {
                Some(next) if more => path = next,
                _ => return Ok(tags),
            }
        }
    }

    /// Sees to it that the registry has a blob.
    ///
    /// # Errors
    /// When it refuses it, or it can't be sent.
    pub async fn upload(&self, upload: &Upload<'_>) -> Result<Uploaded> {
        let scope = self.push_scope();
        self.destination(&scope).put(upload).await.map_err(|error| self.refused(error))
    }

    /// Sends a manifest under a tag or its digest, after its blobs.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub async fn put_manifest(&self, selector: &str, manifest: &Manifest) -> Result<()> {
        let scope = self.push_scope();
        let to = self.destination(&scope);
        put_manifest(&to, selector, &manifest.media_type, &manifest.bytes, &manifest.digest)
            .await
            .map_err(|error| self.refused(error))
    }

    fn destination<'a>(&'a self, scope: &'a str) -> Destination<'a> {
        Destination { endpoint: &self.own, repository: self.repository.path(), scope }
    }

    fn refused(&self, error: Error) -> Error {
        match error.kind {
            ErrorKind::Denied => Error::new(
                ErrorKind::Denied,
                format!(
                    "push access denied for {}: log in with 'wharf login {}': {}",
                    self.repository.familiar(),
                    self.repository.domain(),
                    error.message
                ),
            ),
            _ => error,
        }
    }
}

fn nobody() -> Error {
    Error::unavailable("there is no registry to ask")
}

/// Returns where a long list goes on (RFC 8288: `<address>; rel="next"`).
fn next_page(response: &Response) -> Option<String> {
    let text = response.headers().get(LINK)?.to_str().ok()?;
    let (address, parameters) = text.trim().strip_prefix('<')?.split_once('>')?;
    if !parameters.contains("next") {
        return None;
    }
    Some(response.url().join(address).ok()?.into())
}
