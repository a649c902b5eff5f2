//! Bodies of answers: nothing, a document, or a stream that is asked for more as the client takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;

/// Why a body breaks off; the connection is closed then, so that nobody takes it for all.
pub(crate) type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A body.
pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// Returns a body of these bytes.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body that is sent as the stream gives it.
pub(crate) fn stream<E: Into<Broken>>(
    stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Body {
    StreamBody::new(stream.map(|piece| piece.map(Frame::data).map_err(Into::into))).boxed_unsync()
}

/// How many requests are being answered, streams and attached clients included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity {
    count: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Busy(Activity);

impl Activity {
    /// Counts one more, until what is returned is dropped.
    pub(crate) fn begin(&self) -> Busy {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
        Busy(self.clone())
    }

    /// Returns whether nobody is served.
    pub(crate) fn is_idle(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Waits for the next beginning or end.
    pub(crate) async fn change(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_one();
    }
}

/// A body that counts as activity until it is sent or dropped.
pub(crate) struct Counted {
    pub(crate) body: Body,
    pub(crate) _busy: Busy,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
