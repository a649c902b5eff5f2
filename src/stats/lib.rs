//! From counters to what people look at: samples, rates, and their history.
//!
//! A [`Sampler`] reads the counters of the host and of all containers once a tick. [`Usage`] is
//! made of two samples, with docker's formulas. [`History`] keeps a container's usage in rings of
//! three resolutions ([`Series`]) and gives the columns of charts.

mod error;
mod history;
mod host;
mod net;
mod sampler;
mod series;
mod usage;

pub use error::{Error, Result};
pub use history::{History, HostHistory, Metric};
pub use net::links;
pub use sampler::{Sampler, Subject, Tick, raise_open_files_limit};
pub use series::{Column, Series};
pub use usage::{HostUsage, Usage};
