//! Bodies of answers: nothing, a document, or a stream that is asked for more as the client takes it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;

use crate::line::Next;

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
pub(crate) struct Activity(watch::Sender<usize>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Busy(Activity);

impl Activity {
    /// Counts one more, until what is returned is dropped.
    pub(crate) fn begin(&self) -> Busy {
        self.0.send_modify(|count| *count += 1);
        Busy(self.clone())
    }

    /// Waits until somebody comes or goes, and then until nobody has for as long as `still`, or for
    /// `longest` in all.
    pub(crate) async fn settled(&self, still: Duration, longest: Duration) {
        let mut count = self.0.subscribe();
        // It fails only once nobody can be served any longer, and this is part of it.
        let _ = count.changed().await;
        let moves = async { while tokio::time::timeout(still, count.changed()).await.is_ok() {} };
        // Then it isn't waited for any longer.
        let _ = tokio::time::timeout(longest, moves).await;
    }

    /// Waits until nobody has been served for this long.
    pub(crate) async fn quiet(&self, time: Duration) {
        let mut count = self.0.subscribe();
        loop {
            let is_idle = *count.borrow_and_update() == 0;
            tokio::select! {
                () = tokio::time::sleep(time), if is_idle => return,
                // As above.
                _ = count.changed() => {}
            }
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// A body that counts as activity until it is sent or dropped.
pub(crate) struct Counted {
    pub(crate) body: Body,
    pub(crate) _busy: Busy,
    pub(crate) _next: Next,
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
