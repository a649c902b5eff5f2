//! What docker would say about a container or an image, and what people make of it.
//!
//! [`document()`] and [`image_document`] turn the model into docker's inspect documents; [`Tree`]
//! makes such a document a list of rows that fold; [`human`] has docker's words for durations,
//! sizes and states; [`secret`] hides what shouldn't be on a screen.

#![recursion_limit = "256"]

mod document;
pub mod human;
mod image;
pub mod secret;
mod tree;

pub use document::document;
pub use image::image_document;
pub use tree::{Row, RowKind, Tree};
