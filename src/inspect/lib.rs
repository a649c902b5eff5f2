//! What docker would say about a container or an image, and what people make of it.
//!
//! [`document()`] and [`image_document`] turn the model into docker's inspect documents; [`Tree`]
//! makes such a document a list of rows that fold; [`human`] has docker's words for durations,
//! sizes and states; [`secret`] hides what shouldn't be on a screen; [`mod@template`] has the
//! language of `--format`, and [`inspect`] applies it to documents; [`filter`] has the rules of
//! `--filter`.

#![recursion_limit = "256"]

pub mod difference;
mod document;
mod event;
pub mod filter;
pub mod human;
mod image;
mod instant;
mod log;
mod network;
pub mod secret;
mod system;
pub mod template;
pub mod text;
pub mod transfer;
mod tree;
mod typed;
mod volume;

pub use document::document;
pub use event::event_document;
pub use image::image_document;
pub use instant::{duration, instant};
pub use log::log_attributes;
pub use network::network_document;
pub use system::{engine_document, version_document};
pub use tree::{Row, RowKind, Tree};
pub use typed::{inspect, typed};
pub use volume::volume_document;
