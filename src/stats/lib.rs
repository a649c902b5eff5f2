//! From counters to what people look at: samples, rates, and their history.
//!
//! A [`Sampler`] reads the counters of the host and of all containers once a tick. [`Usage`] is
//! made of two samples, with docker's formulas. [`History`] keeps a container's usage in rings of
//! three resolutions ([`Series`]) and gives the columns of charts. [`mod@record`] keeps the counters of
//! one container on the disk, as a [`Meter`] reads them, for those who ask later.

mod cores;
mod error;
mod history;
mod host;
mod meter;
mod net;
pub mod record;
mod sampler;
mod series;
mod usage;
mod why;

pub use cores::CoreHistory;
pub use error::{Error, Result};
pub use history::{History, HostHistory, Metric};
pub use meter::{HostMeter, Meter, counted_cores, details};
pub use net::{interfaces, links};
pub use sampler::{Sampler, Subject, Tick, raise_open_files_limit};
pub use series::{Column, Series};
pub use usage::{HostUsage, Usage};
pub use why::{Cause, Signs, causes};
