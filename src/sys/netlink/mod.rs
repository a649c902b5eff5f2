//! Netlink without helper programs: a blocking client of the kernel's route and nf_tables
//! families.
//!
//! A caller fills a [`Batch`] with messages (`route` and `nftables` know their layouts), a
//! [`Socket`] sends it in one system call and collects the kernel's answers in order. Messages are
//! encoded here by hand: the engine needs a dozen of them, on a path that is counted in
//! microseconds. Layouts are those of `linux/netlink.h` and, for the extended acknowledgement, of
//! `Documentation/userspace-api/netlink/intro.rst`.

pub mod conntrack;
mod decode;
mod encode;
pub mod nftables;
pub mod route;
mod socket;

pub use decode::{Attribute, Attributes, Reply};
pub use encode::{Batch, Message};
pub use rustix::io::Errno;
pub use socket::{Answers, Family, Socket};

/// A request that the kernel refused, or that could not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    errno: Errno,
    operation: String,
    detail: Option<String>,
}

impl Error {
    /// Returns a failure of this operation; `detail` is the kernel's own sentence, if it gave one.
    pub fn new(operation: impl Into<String>, errno: Errno, detail: Option<String>) -> Self {
        Self { errno, operation: operation.into(), detail }
    }

    /// Returns the kernel's error number.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// Returns the same failure with another operation in its sentence.
    #[must_use]
    pub fn during(mut self, operation: impl Into<String>) -> Self {
        self.operation = operation.into();
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.operation)?;
        if let Some(detail) = &self.detail {
            write!(f, "{detail}: ")?;
        }
        std::fmt::Display::fmt(&self.errno, f)
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        Self::new(Self::from(error.errno).kind(), error)
    }
}

/// The result of every netlink operation.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests;
