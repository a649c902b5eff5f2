//! A request as the functions of routes see it.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, BodyStream, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde::de::DeserializeOwned;
use wharf_backend::{ByteStream, BytesReader, Error};
use wharf_model::{ErrorKind, Filters};

use crate::answer::Refusal;
use crate::filters;
use crate::version::Version;

/// The longest document that is read: a profile of system calls and a long environment fit many times.
const LONGEST_DOCUMENT: usize = 4 << 20;

/// How much is read of a body that nobody wants.
const LONGEST_IGNORED: usize = 64 << 20;

/// A request, its path already understood.
pub(crate) struct Ask {
    /// The version that its path names, or the newest.
    pub(crate) version: Version,
    /// What follows the path.
    pub(crate) query: Query,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Incoming,
    /// Whether the client says that it wants to leave HTTP.
    pub(crate) upgrades: bool,
}

impl Ask {
    /// Reads the body as a document.
    ///
    /// # Errors
    /// When it is none, isn't complete, or is too long.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        typed(self.required().await?)
    }

    /// Reads the body as a document that has to be there.
    ///
    /// # Errors
    /// As [`Ask::json`].
    pub(crate) async fn required(self) -> Result<serde_json::Value, Refusal> {
        let document = self.document().await?;
        document.ok_or_else(|| Refusal::invalid("invalid JSON: got EOF while reading request body"))
    }

    /// Reads the body as a document; an empty one is none.
    ///
    /// # Errors
    /// As [`Ask::json`].
    pub(crate) async fn document(self) -> Result<Option<serde_json::Value>, Refusal> {
        let media = self.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        let is_json = media.is_some_and(|media| {
            media
                .split(';')
                .next()
                .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        });
        let bytes = collected(self.body, LONGEST_DOCUMENT).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !is_json {
            return Err(Refusal::invalid(match media {
                None | Some("") => {
                    "malformed Content-Type header (): mime: no media type".to_owned()
                }
                Some(other) => {
                    format!("unsupported Content-Type header ({other}): must be 'application/json'")
                }
            }));
        }
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|cause| Refusal::invalid(format!("invalid JSON: {cause}")))
    }

    /// Returns whether there is a body that says something, as docker looks at it: an empty document and
    /// `null` fit into seven bytes, and of pieces nobody knows.
    pub(crate) fn has_body(&self) -> bool {
        self.body.size_hint().exact().is_none_or(|length| length > 7)
    }

    /// Returns the body's bytes as they come.
    pub(crate) fn stream(self) -> ByteStream {
        pieces(self.body)
    }

    /// Reads the body and lets go of it. A client that is refused while it still sends would see a broken
    /// connection instead of the reason, and one that goes away behind a body that nobody reads isn't
    /// noticed. There is an end to that too.
    ///
    /// # Errors
    /// When it breaks off.
    pub(crate) async fn drain(&mut self) -> Result<(), Refusal> {
        let mut read = 0;
        while let Some(frame) = self.body.frame().await {
            let frame =
                frame.map_err(|cause| Refusal::invalid(format!("request body: {cause}")))?;
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
            if read > LONGEST_IGNORED {
                break;
            }
        }
        Ok(())
    }

    /// Returns the body to be read where that may block.
    pub(crate) fn reader(self) -> Box<dyn std::io::Read + Send> {
        Box::new(BytesReader::new(self.stream()))
    }
}

/// Returns a body's bytes as they come.
fn pieces(body: Incoming) -> ByteStream {
    let broken =
        |cause: hyper::Error| Error::new(ErrorKind::Invalid, format!("request body: {cause}"));
    TryStreamExt::map_err(BodyStream::new(body), broken)
        .try_filter_map(|frame| std::future::ready(Ok(frame.into_data().ok())))
        .boxed()
}

/// Reads a whole body.
///
/// # Errors
/// When it breaks off, or is too long.
async fn collected(body: Incoming, most: usize) -> Result<bytes::Bytes, Refusal> {
    let whole = Limited::new(body, most).collect().await;
    let whole = whole.map_err(|cause| match cause.is::<http_body_util::LengthLimitError>() {
        true => Refusal::new(
            hyper::StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request's body is longer than {most} bytes"),
        ),
        false => Refusal::invalid(format!("request body: {cause}")),
    })?;
    Ok(whole.to_bytes())
}

/// Reads a document as what it should be.
///
/// # Errors
/// When it is something else.
pub(crate) fn typed<T: DeserializeOwned>(document: serde_json::Value) -> Result<T, Refusal> {
    serde_json::from_value(document)
        .map_err(|cause| Refusal::invalid(format!("invalid JSON: {cause}")))
}

/// What follows a path: names and values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the text after the question mark.
    pub(crate) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// Returns the first value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a name, if it says something.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Returns all values of a name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns whether a switch is on, as docker reads it: anything but nothing, `0`, `no`, `false`
    /// and `none`.
    pub(crate) fn on(&self, name: &str) -> bool {
        let value = self.get(name).unwrap_or_default().trim().to_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// Returns whether a switch is on that is so when nobody says otherwise.
    pub(crate) fn on_unless_told(&self, name: &str) -> bool {
        self.get(name).is_none() || self.on(name)
    }

    /// Returns a whole number.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Refusal::invalid(format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
                })
            })
            .transpose()
    }

    /// Returns an instant: seconds since 1970 with decimals, or any form that docker's command line
    /// takes. Zero is none.
    ///
    /// # Errors
    /// When it is none of these.
    pub(crate) fn instant(&self, name: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
        let Some(text) = self.text(name).filter(|text| *text != "0") else { return Ok(None) };
        wharf_inspect::instant(text, Utc::now())
            .map(Some)
            .map_err(|_| Refusal::invalid(format!("invalid value for {name:?}: {text:?}")))
    }

    /// Returns the conditions of `filters`.
    ///
    /// # Errors
    /// When they can't be read.
    pub(crate) fn filters(&self) -> Result<Filters, Refusal> {
        self.text("filters").map_or_else(|| Ok(Filters::default()), filters::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_docker_reads_them() {
        let query = Query::parse("all=1&size=False&x=none&y=&t=-1&bad=z&since=1.5&n=a%20b&n=c+d");
        assert!(query.on("all") && !query.on("size") && !query.on("x") && !query.on("y"));
        assert!(query.on_unless_told("absent") && !query.on_unless_told("size"));
        assert_eq!(query.number("t").unwrap(), Some(-1));
        assert!(query.number("bad").is_err() && query.number("absent").unwrap().is_none());
        assert_eq!(query.all("n").collect::<Vec<_>>(), ["a b", "c d"]);
        let since = query.instant("since").unwrap().unwrap();
        assert_eq!(since.timestamp_millis(), 1500);
        assert!(query.instant("bad").is_err());
    }
}
