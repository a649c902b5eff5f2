//! A container's log: docker's json-file records written with rotation, read and followed, viewed
//! and searched at any size, and made safe to show.
//!
//! Rotated files may be compressed; readers take them as they are.
//!
//! Bytes flow from the container through [`Writer`] (in the supervisor) into records on disk
//! ([`codec`]). [`Reader`] gives them back in order, for `logs`. [`LogView`] gives random access
//! for a screen: [`FileView`] over files of any size, [`StreamView`] over records that only come
//! through a backend; [`Merged`] makes one of several. [`Search`] and [`Histogram`] work on all.
//! [`continues`] tells which lines belong together, [`fold`] makes JSON readable. Whatever is shown
//! passes through [`Sanitizer`].

pub mod codec;
mod error;
mod files;
mod follow;
mod group;
mod histogram;
mod json;
mod matcher;
mod options;
mod pack;
mod queue;
mod reader;
mod search;
#[cfg(test)]
mod test_support;
mod text;
mod time;
mod view;
mod writer;

pub use error::{Error, Result};
pub use follow::{CHANGES, Follow};
pub use group::{MOST_JOINED, continues};
pub use histogram::{Bars, Histogram, Looked, Unit};
pub use json::{Folded, fold, unfold};
pub use matcher::{Case, Matcher};
pub use options::{About, attributes, buffer, check, rotation};
pub use pack::pack;
pub use queue::{Piece, Queue, write_encoded};
pub use reader::Reader;
pub use search::{Direction, Page, Search, SearchProgress, Step};
pub use text::{Color, Sanitizer, Span, Style, plain_text, sanitize_line};
pub use view::{Change, FileView, Line, LogView, Merged, Progress, Since, StreamView};
pub use writer::{MAX_RECORD, Rotation, Writer};
