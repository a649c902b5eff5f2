//! Proving who asks: what a registry demands (`WWW-Authenticate`), and the tokens that answer it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use wharf_model::ErrorKind;

use crate::http::{Http, LONGEST_DOCUMENT, limited};
use crate::{Credential, CredentialStore, Error, Result};

/// How long a token lives whose maker doesn't say (the token specification's default).
const TOKEN_LIFE: u64 = 60;

/// How long before its end a token isn't used any more.
const MARGIN: Duration = Duration::from_secs(10);

/// Who we are at token servers that ask for the program's name.
const CLIENT_ID: &str = "wharf";

/// What a registry demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A name and a password with each request.
    Basic,
    /// A token.
    Bearer {
        /// Where tokens are had.
        realm: String,
        /// For whom they are made.
        service: String,
        /// For what, as the registry sees this request.
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads the headers' values; the strongest scheme known counts.
    pub(crate) fn read<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        for value in values {
            for (scheme, parameters) in challenges(value) {
                if scheme.eq_ignore_ascii_case("bearer") {
                    let get = |name: &str| parameters.get(name).cloned();
                    if let Some(realm) = get("realm") {
                        let service = get("service").unwrap_or_default();
                        return Some(Self::Bearer { realm, service, scope: get("scope") });
                    }
                } else if scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

/// Splits `Scheme a="b", c=d, Scheme2 …` (RFC 9110, section 11.6.1).
fn challenges(text: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',', '\t']);
    while !rest.is_empty() {
        let end = rest.find([' ', ',', '=', '\t']).unwrap_or(rest.len());
        if end == 0 {
            rest = &rest[1..];
            continue;
        }
        let word = &rest[..end];
        rest = rest[end..].trim_start_matches([' ', '\t']);
        match rest.strip_prefix('=') {
            None => found.push((word.to_owned(), BTreeMap::new())),
            Some(after) => {
                let (value, after) = value(after.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.insert(word.to_ascii_lowercase(), value);
                }
                rest = after;
            }
        }
        rest = rest.trim_start_matches([' ', ',', '\t']);
    }
    found
}

/// Returns a token or a quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (index, letter) in quoted.char_indices() {
        match letter {
            _ if escaped => {
                value.push(letter);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[index + 1..]),
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// What a token server answers.
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

struct Token {
    header: HeaderValue,
    until: Instant,
}

/// What one registry demands, and what it was answered. Shared by all requests to it.
#[derive(Default)]
pub(crate) struct Authorizer {
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    /// Who the user is there, once that was looked up.
    credential: Option<Arc<Credential>>,
    tokens: BTreeMap<String, Token>,
}

/// What a request needs to be allowed to do: scopes of the token specification, parted by spaces.
pub(crate) type Scope = str;

/// How to find out who the user is at a registry.
pub(crate) struct Lookup {
    /// Where it is written.
    pub(crate) store: CredentialStore,
    /// The registry, as references name it.
    pub(crate) domain: String,
}

impl Lookup {
    /// Returns the user's credential. A helper may take its time, so this is done aside.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn credential(&self) -> Result<Credential> {
        let (store, domain) = (self.store.clone(), self.domain.clone());
        let found = tokio::task::spawn_blocking(move || store.get(&domain)).await;
        let failed = |cause| Error::new(ErrorKind::Internal, format!("credentials: {cause}"));
        Ok(found.map_err(failed)??.unwrap_or_default())
    }
}

impl Authorizer {
    /// Returns the header for a request, if the registry is known to demand one.
    ///
    /// # Errors
    /// When no token is given.
    pub(crate) async fn header(
        &self,
        http: &Http,
        scope: &Scope,
        lookup: &Lookup,
    ) -> Result<Option<HeaderValue>> {
        let mut state = self.state.lock().await;
        if state.challenge.is_none() {
            return Ok(None);
        }
        state.answer(http, scope, lookup).await
    }

    /// Takes in what a registry demanded of a request; returns the header to try again with, none if
    /// there is nothing else to try. `used` is what the request had.
    ///
    /// # Errors
    /// When no token is given.
    pub(crate) async fn challenged(
        &self,
        http: &Http,
        challenge: Challenge,
        scope: &Scope,
        used: Option<&HeaderValue>,
        lookup: &Lookup,
    ) -> Result<Option<HeaderValue>> {
        let mut state = self.state.lock().await;
        // Several requests may come back at once: one of them asks for a new token.
        if state.tokens.get(scope).is_some_and(|token| Some(&token.header) == used) {
            state.tokens.remove(scope);
        }
        state.challenge = Some(challenge);
        let header = state.answer(http, scope, lookup).await?;
        Ok(header.filter(|header| Some(header) != used))
    }
}

impl State {
    async fn credential(&mut self, lookup: &Lookup) -> Result<Arc<Credential>> {
        if let Some(credential) = &self.credential {
            return Ok(Arc::clone(credential));
        }
        let found = Arc::new(lookup.credential().await?);
        self.credential = Some(Arc::clone(&found));
        Ok(found)
    }

    async fn answer(
        &mut self,
        http: &Http,
        scope: &Scope,
        lookup: &Lookup,
    ) -> Result<Option<HeaderValue>> {
        let Some(challenge) = self.challenge.clone() else { return Ok(None) };
        let credential = self.credential(lookup).await?;
        match challenge {
            Challenge::Basic if credential.username.is_empty() => Ok(None),
            Challenge::Basic => basic(&credential).map(Some),
            Challenge::Bearer { .. } if !credential.registry_token.is_empty() => {
                bearer(&credential.registry_token).map(Some)
            }
            Challenge::Bearer { realm, service, scope: demanded } => {
                let now = Instant::now();
                if let Some(token) = self.tokens.get(scope).filter(|token| token.until > now) {
                    return Ok(Some(token.header.clone()));
                }
                // What the registry names may be wider than what we know of.
                let wanted =
                    if scope.is_empty() { demanded.as_deref().unwrap_or("") } else { scope };
                let asked =
                    Asked { realm: &realm, service: &service, scope: wanted, offline: false };
                let answer = match fetch(http, &asked, &credential).await {
                    // Nobody has no token: what the registry then says is what counts.
                    Err(error) if error.kind == ErrorKind::Denied && credential.is_empty() => {
                        return Ok(None);
                    }
                    answer => answer?,
                };
                let text =
                    if answer.token.is_empty() { &answer.access_token } else { &answer.token };
                let header = bearer(text)?;
                let life = Duration::from_secs(answer.expires_in.unwrap_or(0).max(TOKEN_LIFE));
                let until = now + life.saturating_sub(MARGIN);
                if !answer.refresh_token.is_empty() && !credential.identity_token.is_empty() {
                    // The old one may be worth nothing from now on.
                    let identity_token = answer.refresh_token.clone();
                    self.credential =
                        Some(Arc::new(Credential { identity_token, ..(*credential).clone() }));
                }
                self.tokens.insert(scope.to_owned(), Token { header: header.clone(), until });
                Ok(Some(header))
            }
        }
    }
}

/// A token that is wanted.
pub(crate) struct Asked<'a> {
    pub(crate) realm: &'a str,
    pub(crate) service: &'a str,
    pub(crate) scope: &'a str,
    /// Whether a token that lasts is wanted as well.
    pub(crate) offline: bool,
}

/// Logs in at a token server; returns the token that lasts, where it hands such out.
///
/// # Errors
/// When the server refuses the credential.
pub(crate) async fn log_in(
    http: &Http,
    asked: &Asked<'_>,
    credential: &Credential,
) -> Result<(HeaderValue, String)> {
    let answer = fetch(http, asked, credential).await?;
    let text = if answer.token.is_empty() { &answer.access_token } else { &answer.token };
    Ok((bearer(text)?, answer.refresh_token))
}

async fn fetch(http: &Http, asked: &Asked<'_>, credential: &Credential) -> Result<TokenAnswer> {
    let mut pairs = vec![("service", asked.service)];
    pairs.extend(asked.scope.split(' ').filter(|scope| !scope.is_empty()).map(|s| ("scope", s)));
    let mut headers = Vec::new();
    let response = if credential.identity_token.is_empty() {
        if asked.offline {
            pairs.extend([("offline_token", "true"), ("client_id", CLIENT_ID)]);
        }
        if !credential.username.is_empty() {
            pairs.push(("account", credential.username.as_str()));
            headers.push((reqwest::header::AUTHORIZATION, basic(credential)?));
        }
        http.get_for_token(asked.realm, &pairs, headers).await?
    } else {
        // The scopes of this form are one parameter (RFC 6749, section 3.3).
        let pairs = [
            ("grant_type", "refresh_token"),
            ("service", asked.service),
            ("client_id", CLIENT_ID),
            ("scope", asked.scope),
            ("refresh_token", credential.identity_token.as_str()),
        ];
        http.post_for_token(asked.realm, &pairs).await?
    };
    let status = response.status();
    let host = response.url().host_str().unwrap_or_default().to_owned();
    let body = limited(response, LONGEST_DOCUMENT).await;
    if status.as_u16() == 401 || status.as_u16() == 403 {
        return Err(Error::new(ErrorKind::Denied, "unauthorized: incorrect username or password"));
    }
    if !status.is_success() {
        return Err(Error::unavailable(format!(
            "the token server {host} answered {}: try again later",
            status.as_u16()
        )));
    }
    let answer: Option<TokenAnswer> = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    answer
        .filter(|answer| !(answer.token.is_empty() && answer.access_token.is_empty()))
        .ok_or_else(|| Error::unavailable(format!("the token server {host} gave no token")))
}

/// Returns the header with a name and a password.
pub(crate) fn basic(credential: &Credential) -> Result<HeaderValue> {
    let both = format!("{}:{}", credential.username, credential.password);
    secret(&format!("Basic {}", STANDARD.encode(both)))
}

fn bearer(token: &str) -> Result<HeaderValue> {
    secret(&format!("Bearer {token}"))
}

/// Returns a header's value that never shows itself.
fn secret(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::invalid("the registry's token can't be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let read = |text: &str| Challenge::read([text].into_iter());
        let bearer = |realm: &str, service: &str, scope: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.to_owned(),
            scope: scope.map(str::to_owned),
        };
        assert_eq!(
            read(
                "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",\
                 scope=\"repository:library/alpine:pull,push\",error=\"invalid_token\""
            ),
            Some(bearer(
                "https://auth.docker.io/token",
                "registry.docker.io",
                Some("repository:library/alpine:pull,push")
            ))
        );
        assert_eq!(read("Basic realm=\"x \\\" y\""), Some(Challenge::Basic));
        assert_eq!(read("Basic"), Some(Challenge::Basic));
        assert_eq!(
            read("basic realm=a, BEARER realm=\"b\" , service=c"),
            Some(bearer("b", "c", None))
        );
        for nothing in ["", "Bearer", "Negotiate", ",,,=", "=\"", "Bearer realm"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
