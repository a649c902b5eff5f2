//! The error of this crate.

/// A failed operation of the sampler.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Control groups can't be read.
    #[error(transparent)]
    Cgroup(#[from] wharf_cgroup::Error),
    /// The container's first process has ended.
    #[error("sample container {0}: its process has ended")]
    Gone(String),
}

/// The result of every operation of the sampler.
pub type Result<T> = std::result::Result<T, Error>;
