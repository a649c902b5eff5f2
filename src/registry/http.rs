//! HTTP: one client for each host, since each has certificates of its own; redirects, which lose
//! what is meant for one host only; patience, and its end.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::dns::{Addrs, Name, Resolving};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Body, Client, Method, Response, StatusCode, Url};
use wharf_model::ErrorKind;

use crate::error::innermost;
use crate::settings::{Certificates, Settings, host_of, is_loopback};
use crate::tls::{Believed, tls_config};
use crate::{Error, Result};

/// How names of hosts become addresses.
pub type Resolve = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// The most bytes of a document that isn't a blob (registries allow 4 MiB for a manifest).
pub(crate) const LONGEST_DOCUMENT: u64 = 4 << 20;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(20);

/// How long the beginning of an answer may take.
pub(crate) const ANSWER: Duration = Duration::from_secs(60);

/// How long a body may stand still.
pub(crate) const STALL: Duration = Duration::from_secs(60);

/// How many hosts a request may be sent on to.
const REDIRECTS: usize = 8;

/// The longest time that a registry may make us wait before the next attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How often something is tried again that failed for a reason that may pass.
const RETRIES: u32 = 5;

/// The first pause between attempts; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

const AGENT: &str = concat!("wharf/", env!("CARGO_PKG_VERSION"));

/// One request. It may be sent several times.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: &'a HeaderMap,
    /// For the host of the address only.
    pub(crate) authorization: Option<&'a HeaderValue>,
    pub(crate) body: &'a (dyn Fn() -> Body + Send + Sync),
    pub(crate) patience: Duration,
}

/// A request without an answer.
pub(crate) struct Unanswered {
    pub(crate) error: Error,
    /// Whether no connection could be made.
    pub(crate) unreached: bool,
    /// Whether nobody listens there.
    pub(crate) absent: bool,
    /// Whether it will be no better later: a certificate, or where it is redirected to.
    pub(crate) lasting: bool,
}

/// Sends requests.
pub(crate) struct Http {
    settings: Arc<Settings>,
    resolve: Resolve,
    clients: Mutex<HashMap<(String, bool), Client>>,
}

struct Names(Resolve);

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolve, host) = (Arc::clone(&self.0), name.as_str().to_owned());
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || resolve(&host)).await??;
            let addresses = found.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

impl Http {
    pub(crate) fn new(settings: Arc<Settings>, resolve: Resolve) -> Self {
        Self { settings, resolve, clients: Mutex::default() }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the client for an address's host.
    fn client(&self, url: &Url) -> Result<Client> {
        let authority = authority(url);
        let secure = url.scheme() == "https";
        let key = (authority.clone(), secure);
        if let Some(client) = self.lock().get(&key) {
            return Ok(client.clone());
        }
        let insecure = self.settings.is_insecure(&authority);
        let tls = match secure {
            true => {
                let certificates = self.settings.certificates(&authority)?;
                let believed = if insecure { Believed::Anybody } else { Believed::SystemsAndThese };
                tls_config(&authority, &certificates, believed)?
            }
            // Never used, but there has to be one.
            false => tls_config(&authority, &Certificates::default(), Believed::Anybody)?,
        };
        let mut builder = Client::builder()
            .user_agent(AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only()
            .connect_timeout(CONNECT)
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(Names(Arc::clone(&self.resolve))));
        if is_loopback(host_of(&authority)) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|cause| {
            Error::new(ErrorKind::Internal, format!("HTTP for {authority}: {}", innermost(cause)))
        })?;
        self.lock().insert(key, client.clone());
        Ok(client)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, bool), Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request, and on to where it is redirected.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn exchange(
        &self,
        request: &Request<'_>,
    ) -> std::result::Result<Response, Unanswered> {
        let refused =
            |error: Error| Unanswered { error, unreached: false, absent: false, lasting: true };
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS {
            let client = self.client(&url).map_err(refused)?;
            let mut builder = client
                .request(request.method.clone(), url.clone())
                .headers(request.headers.clone())
                .body((request.body)());
            if let Some(authorization) =
                request.authorization.filter(|_| same_host(&url, &request.url))
            {
                builder = builder.header(AUTHORIZATION, authorization.clone());
            }
            let answer = tokio::time::timeout(request.patience, builder.send()).await;
            let response = match answer {
                Ok(Ok(response)) => response,
                Ok(Err(cause)) => return Err(self.unanswered(request, &url, cause)),
                Err(_) => {
                    let text = format!("{}: no answer came", shown(&request.method, &url));
                    let error = Error::unavailable(text);
                    return Err(Unanswered {
                        error,
                        unreached: false,
                        absent: false,
                        lasting: false,
                    });
                }
            };
            let Some(target) = redirected(&response) else { return Ok(response) };
            let next = url.join(&target).map_err(|_| {
                let text = format!("{}: redirected to nowhere", shown(&request.method, &url));
                refused(Error::unavailable(text))
            })?;
            let plain = next.scheme() != "https";
            if plain && url.scheme() == "https" && !self.settings.is_insecure(&authority(&next)) {
                return Err(refused(Error::new(
                    ErrorKind::Denied,
                    format!(
                        "{}: it redirects to {} without TLS: name that host in insecure-registries \
                         if it is to be trusted",
                        shown(&request.method, &url),
                        authority(&next)
                    ),
                )));
            }
            url = next;
        }
        let text = format!("{}: redirected too often", shown(&request.method, &request.url));
        Err(refused(Error::unavailable(text)))
    }

    fn unanswered(&self, request: &Request<'_>, url: &Url, cause: reqwest::Error) -> Unanswered {
        let unreached = cause.is_connect();
        let absent = is_refused(&cause);
        let text = innermost(cause);
        let lower = text.to_lowercase();
        let lasting = lower.contains("certificate") || lower.contains("fatal alert");
        let host = authority(url);
        let advice = if lower.starts_with("received fatal alert") {
            format!(
                ": it wants to know who we are: put a certificate in certs.d/{host}/client.cert \
                     and its key in client.key"
            )
        } else if lasting {
            format!(
                ": put its authority's certificate in certs.d/{host}/ca.crt, or name it in \
                 insecure-registries"
            )
        } else {
            String::new()
        };
        let text = format!("{}: {text}{advice}", shown(&request.method, url));
        Unanswered { error: Error::unavailable(text), unreached, absent, lasting }
    }

    /// Asks a token server with a GET.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn get_for_token(
        &self,
        realm: &str,
        pairs: &[(&str, &str)],
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Response> {
        let mut url = self.realm(realm)?;
        let authorization = headers.iter().find(|(name, _)| name == AUTHORIZATION);
        url.query_pairs_mut().extend_pairs(pairs);
        let request = Request {
            method: Method::GET,
            url,
            headers: &HeaderMap::new(),
            authorization: authorization.map(|(_, value)| value),
            body: &Body::default,
            patience: ANSWER,
        };
        self.patiently(&request).await
    }

    /// Asks a token server with a form.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn post_for_token(
        &self,
        realm: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Response> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let mut headers = HeaderMap::new();
        headers.insert(
            reqwest::header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        let request = Request {
            method: Method::POST,
            url: self.realm(realm)?,
            headers: &headers,
            authorization: None,
            body: &|| Body::from(form.clone()),
            patience: ANSWER,
        };
        self.patiently(&request).await
    }

    /// Returns a token server's address. Secrets go there, so it has to be one that may have them.
    fn realm(&self, realm: &str) -> Result<Url> {
        let url = Url::parse(realm).ok().filter(Url::has_host);
        let url = url.ok_or_else(|| {
            Error::unavailable(format!("the registry names no token server: {realm:?}"))
        })?;
        if url.scheme() != "https" && !self.settings.is_insecure(&authority(&url)) {
            return Err(Error::new(
                ErrorKind::Denied,
                format!(
                    "the token server {} is without TLS: name it in insecure-registries if it is \
                     to be trusted",
                    authority(&url)
                ),
            ));
        }
        Ok(url)
    }

    async fn patiently(&self, request: &Request<'_>) -> Result<Response> {
        let mut backoff = Backoff::default();
        loop {
            let (wait, outcome) = match self.exchange(request).await {
                Ok(response) if is_transient(response.status()) => {
                    (backoff.next(retry_after(&response)), Ok(response))
                }
                Ok(response) => return Ok(response),
                Err(failure) if failure.unreached || failure.lasting => return Err(failure.error),
                Err(failure) => (backoff.next(None), Err(failure.error)),
            };
            let Some(wait) = wait else { return outcome };
            tokio::time::sleep(wait).await;
        }
    }
}

/// Pauses between attempts.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failed: u32,
}

impl Backoff {
    /// Returns how long to wait before the next attempt; none when it was tried often enough, or the
    /// registry wants more time than anybody would wait.
    pub(crate) fn next(&mut self, wanted: Option<Duration>) -> Option<Duration> {
        if self.failed >= RETRIES {
            return None;
        }
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.failed);
        self.failed += 1;
        match wanted {
            Some(wanted) if wanted > LONGEST_WAIT => None,
            Some(wanted) => Some(wanted.max(Duration::from_millis(50))),
            // Those who were turned away together shouldn't come back together.
            None => Some(pause + jitter(pause / 4)),
        }
    }

    /// Begins anew, after something got on.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }
}

fn jitter(most: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    // Without randomness there is no jitter.
    let _ = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::empty());
    most * u32::from(byte[0]) / 255
}

fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let io = inner.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Returns whether an answer may be another one later.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Returns how long the registry wants us to wait: seconds, or a date (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    wait_of(text, Utc::now())
}

fn wait_of(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or(Duration::ZERO))
}

/// Returns where an answer sends us, if it does.
fn redirected(response: &Response) -> Option<String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    Some(response.headers().get(LOCATION)?.to_str().ok()?.to_owned())
}

/// Returns the host of an address, with its port if that isn't the usual one.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Returns whether two addresses are of one server.
pub(crate) fn same_host(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// Returns an address as errors show it: without what may be a signature.
pub(crate) fn shown(method: &Method, url: &Url) -> String {
    format!("{method} {}://{}{}", url.scheme(), authority(url), url.path())
}

/// Returns a body that isn't longer than it may be.
///
/// # Errors
/// When it is longer, or breaks off.
pub(crate) async fn limited(mut response: Response, most: u64) -> Result<Bytes> {
    let place = shown(&Method::GET, response.url());
    let too_long = || Error::invalid(format!("{place}: it is longer than {most} bytes"));
    let broken = |why: String| Error::unavailable(format!("{place}: {why}"));
    let longest = usize::try_from(most).unwrap_or(usize::MAX);
    if response.content_length().is_some_and(|length| length > most) {
        return Err(too_long());
    }
    let mut body = Vec::new();
    loop {
        let chunk = tokio::time::timeout(STALL, response.chunk())
            .await
            .map_err(|_| broken("the answer stands still".to_owned()))?
            .map_err(|cause| broken(innermost(cause)))?;
        let Some(chunk) = chunk else { return Ok(body.into()) };
        if body.len() + chunk.len() > longest {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_what_is_wanted_or_grow() {
        let mut backoff = Backoff::default();
        let first = backoff.next(None).unwrap();
        assert!((500..=625).contains(&first.as_millis()), "{first:?}");
        assert_eq!(backoff.next(Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert!(backoff.next(None).unwrap().as_millis() >= 2000);
        assert_eq!(Backoff::default().next(Some(Duration::from_secs(3600))), None);
        backoff.next(None).unwrap();
        backoff.next(None).unwrap();
        assert_eq!(backoff.next(None), None);
        backoff.reset();
        assert!(backoff.next(None).is_some());
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(wait_of("12", now), Some(Duration::from_secs(12)));
        let date = "Fri, 02 Jan 2026 03:04:15 GMT";
        assert_eq!(wait_of(date, now), Some(Duration::from_secs(10)));
        assert_eq!(wait_of("Fri, 02 Jan 2026 03:04:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(wait_of("soon", now), None);
    }

    #[test]
    fn addresses_are_shown_without_their_signatures() {
        let url: Url = "https://u:p@cdn.example:8443/b/x?X-Amz-Signature=abc#f".parse().unwrap();
        assert_eq!(shown(&Method::GET, &url), "GET https://cdn.example:8443/b/x");
        let other: Url = "https://cdn.example:443/".parse().unwrap();
        assert!(!same_host(&url, &other));
        assert!(same_host(&other, &"https://cdn.example/x".parse().unwrap()));
        assert!(!same_host(&other, &"http://cdn.example:443/x".parse().unwrap()));
    }
}
