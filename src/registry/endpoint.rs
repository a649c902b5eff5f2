//! A registry's own address or a mirror's: how it is reached, and how requests to it are sent until
//! they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::OnceCell;
use wharf_model::ErrorKind;

use crate::auth::{Authorizer, Challenge, Lookup};
use crate::http::{
    ANSWER, Backoff, Http, LONGEST_DOCUMENT, Request, is_transient, limited, retry_after, same_host,
};
use crate::settings::HUB;
use crate::{CredentialStore, Error, Result};

/// Where Docker Hub's registry really is.
const HUB_HOST: &str = "registry-1.docker.io";

/// A request to a registry.
pub(crate) struct Ask<'a> {
    method: Method,
    target: String,
    scope: &'a str,
    headers: HeaderMap,
    body: &'a (dyn Fn() -> Body + Send + Sync),
    patience: Duration,
    patient: bool,
    on_retry: &'a (dyn Fn(u64) + Send + Sync),
}

impl<'a> Ask<'a> {
    /// Asks with this method for a path below `/v2/`, or a whole address; `scope` is what the
    /// request needs to be allowed to do.
    pub(crate) fn new(method: Method, target: impl Into<String>, scope: &'a str) -> Self {
        Self {
            method,
            target: target.into(),
            scope,
            headers: HeaderMap::new(),
            body: &Body::default,
            patience: ANSWER,
            patient: true,
            on_retry: &|_| (),
        }
    }

    pub(crate) fn get(target: impl Into<String>, scope: &'a str) -> Self {
        Self::new(Method::GET, target, scope)
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }

    pub(crate) fn body(mut self, body: &'a (dyn Fn() -> Body + Send + Sync)) -> Self {
        self.body = body;
        self
    }

    /// How long the answer may take.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// A failure that may pass is the caller's to deal with.
    pub(crate) fn once(mut self) -> Self {
        self.patient = false;
        self
    }

    /// Is told before each pause how many seconds it lasts.
    pub(crate) fn on_retry(mut self, tell: &'a (dyn Fn(u64) + Send + Sync)) -> Self {
        self.on_retry = tell;
        self
    }
}

/// A request that failed.
pub(crate) struct Failed {
    pub(crate) error: Error,
    /// Whether it may work later.
    pub(crate) passing: bool,
}

/// A registry's address.
pub(crate) struct Endpoint {
    http: Arc<Http>,
    lookup: Lookup,
    /// `host[:port]`.
    authority: String,
    /// What comes before `/v2/`, for some mirrors.
    prefix: String,
    /// Known, or found out by the first request.
    scheme: OnceCell<&'static str>,
    auth: Authorizer,
    reached: AtomicBool,
}

impl Endpoint {
    /// Returns a registry's own address.
    pub(crate) fn own(http: &Arc<Http>, store: &CredentialStore, domain: &str) -> Self {
        let authority = if domain == HUB { HUB_HOST } else { domain };
        let scheme = match http.settings().is_insecure(authority) {
            true => OnceCell::new(),
            false => OnceCell::from("https"),
        };
        Self::new(http, store, domain, authority, String::new(), scheme)
    }

    /// Returns a mirror's address, which is `scheme://host[:port][/path]`.
    pub(crate) fn mirror(http: &Arc<Http>, store: &CredentialStore, address: &str) -> Self {
        let (scheme, rest) = match address.strip_prefix("http://") {
            Some(rest) => ("http", rest),
            None => ("https", address.trim_start_matches("https://")),
        };
        let (authority, prefix) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, String::new()),
        };
        Self::new(http, store, authority, authority, prefix, OnceCell::from(scheme))
    }

    fn new(
        http: &Arc<Http>,
        store: &CredentialStore,
        domain: &str,
        authority: &str,
        prefix: String,
        scheme: OnceCell<&'static str>,
    ) -> Self {
        Self {
            http: Arc::clone(http),
            lookup: Lookup { store: store.clone(), domain: domain.to_owned() },
            authority: authority.to_owned(),
            prefix,
            scheme,
            auth: Authorizer::default(),
            reached: AtomicBool::new(false),
        }
    }

    /// Returns its name for people: `host[:port][/path]`.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.authority, self.prefix)
    }

    /// Returns the HTTP it is reached with.
    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// Returns the address of its API. One that may be without TLS is asked with it first, as docker
    /// does.
    pub(crate) async fn base(&self) -> Result<Url> {
        let scheme = self
            .scheme
            .get_or_try_init(|| async {
                let secure = self.url_with("https")?;
                match self.http.exchange(&bare(secure)).await {
                    Ok(_) => Ok("https"),
                    // Nobody is there with or without it.
                    Err(failure) if failure.absent => Err(failure.error),
                    Err(_) => {
                        let plain = self.url_with("http")?;
                        match self.http.exchange(&bare(plain)).await {
                            Ok(_) => Ok("http"),
                            Err(failure) => Err(failure.error),
                        }
                    }
                }
            })
            .await?;
        self.url_with(scheme)
    }

    fn url_with(&self, scheme: &str) -> Result<Url> {
        let text = format!("{scheme}://{}{}/v2/", self.authority, self.prefix);
        Url::parse(&text).map_err(|cause| Error::invalid(format!("{text}: {cause}")))
    }

    /// Sends a request until it is answered with something that lasts.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn send(&self, ask: &Ask<'_>) -> std::result::Result<Response, Failed> {
        let lasting = |error| Failed { error, passing: false };
        let base = self.base().await.map_err(lasting)?;
        let url = base.join(&ask.target).map_err(|cause| {
            lasting(Error::unavailable(format!("{}: not an address: {cause}", self.authority)))
        })?;
        // Where an upload goes to may be elsewhere.
        let ours = same_host(&url, &base);
        let mut header = match ours {
            true => {
                let known = self.auth.header(&self.http, ask.scope, &self.lookup).await;
                known.map_err(lasting)?
            }
            false => None,
        };
        let mut backoff = Backoff::default();
        let mut challenged = 0;
        loop {
            let request = Request {
                method: ask.method.clone(),
                url: url.clone(),
                headers: &ask.headers,
                authorization: header.as_ref(),
                body: ask.body,
                patience: ask.patience,
            };
            let (wait, outcome) = match self.http.exchange(&request).await {
                Ok(response) => {
                    self.reached.store(true, Ordering::Relaxed);
                    let status = response.status();
                    if status == StatusCode::UNAUTHORIZED && ours && challenged < 2 {
                        challenged += 1;
                        let next = self.challenge(&response, ask.scope, header.as_ref()).await;
                        match next.map_err(lasting)? {
                            Some(next) => header = Some(next),
                            None => return Ok(response),
                        }
                        continue;
                    }
                    if !is_transient(status) || !ask.patient {
                        return Ok(response);
                    }
                    (backoff.next(retry_after(&response)), Ok(response))
                }
                Err(failure) => {
                    let first = failure.unreached && !self.reached.load(Ordering::Relaxed);
                    let passing = !first && !failure.lasting;
                    let failed = Failed { error: failure.error, passing };
                    if !passing || !ask.patient {
                        return Err(failed);
                    }
                    (backoff.next(None), Err(failed))
                }
            };
            let Some(wait) = wait else { return outcome };
            (ask.on_retry)(wait.as_secs().max(1));
            tokio::time::sleep(wait).await;
        }
    }

    async fn challenge(
        &self,
        response: &Response,
        scope: &str,
        used: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>> {
        match challenge_of(response) {
            Some(challenge) => {
                self.auth.challenged(&self.http, challenge, scope, used, &self.lookup).await
            }
            None => Ok(None),
        }
    }
}

/// Returns what an answer demands.
pub(crate) fn challenge_of(response: &Response) -> Option<Challenge> {
    let values = response.headers().get_all(WWW_AUTHENTICATE);
    Challenge::read(values.iter().filter_map(|value| value.to_str().ok()))
}

fn bare<'a>(url: Url) -> Request<'a> {
    static NONE: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);
    Request {
        method: Method::GET,
        url,
        headers: &NONE,
        authorization: None,
        body: &Body::default,
        patience: ANSWER,
    }
}

/// What registries answer when they refuse (OCI distribution specification, "Error Codes").
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// Returns the error that a refusal stands for, in the registry's own words if it has any.
pub(crate) async fn refusal(response: Response) -> Error {
    let status = response.status();
    let wait = retry_after(&response);
    let kind = match status.as_u16() {
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        429 | 500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::Invalid,
    };
    let body = limited(response, LONGEST_DOCUMENT).await.unwrap_or_default();
    let reasons = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.errors);
    let reasons: Vec<String> = reasons.unwrap_or_default().iter().map(Reason::sentence).collect();
    let mut message = if reasons.is_empty() {
        let reason = status.canonical_reason().unwrap_or("an unknown status");
        format!("unexpected status {} ({reason})", status.as_u16())
    } else {
        reasons.join("; ")
    };
    if let Some(wait) = wait.filter(|_| status.as_u16() == 429) {
        message.push_str(&format!(": try again in {} seconds", wait.as_secs()));
    }
    Error::new(kind, message)
}

impl Reason {
    fn sentence(&self) -> String {
        let code = self.code.to_lowercase().replace('_', " ");
        // A registry's words end on a terminal.
        let text: String =
            self.message.chars().filter(|letter| !letter.is_control()).take(300).collect();
        match (code.as_str(), text.as_str()) {
            ("", text) => text.to_owned(),
            (code, "") => code.to_owned(),
            (code, text) => format!("{code}: {text}"),
        }
    }
}
