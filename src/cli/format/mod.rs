//! Pure functions from the model's types to the text that verbs print, laid out as docker does.

pub(crate) mod document;
pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod info;
pub(crate) mod networks;
pub(crate) mod ps;
pub(crate) mod rows;
pub(crate) mod stats;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod top;
pub(crate) mod tree;
pub(crate) mod usage;
pub(crate) mod version;
pub(crate) mod volumes;
