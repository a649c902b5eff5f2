//! Registries: the client side of the OCI distribution specification.
//!
//! [`Registries`] is all of them as one user sees them, by the files that `settings` and
//! `credentials` read. A [`Remote`] is one repository, in its registry and the registry's mirrors
//! (`endpoint`). A request goes down from there through `endpoint`, which proves who asks (`auth`)
//! and tries again, to `http`, which follows redirects and believes certificates (`tls`). Manifests
//! and small blobs come back whole and verified; a layer comes as a [`BlobStream`], which goes on
//! where it broke off, and is verified by whoever takes it in. `policy` and `cosign` say whose images
//! may be taken.
//!
//! Nothing here knows an engine, the terminal or the home directory.

mod auth;
mod blob;
mod cosign;
mod credentials;
mod endpoint;
mod error;
mod helper;
mod http;
pub mod manifest;
mod platform;
mod policy;
mod remote;
mod settings;
mod tls;
mod upload;

pub use blob::{BlobStream, OnRetry, Origin};
pub use credentials::{Credential, CredentialStore, Kept, domain, key};
pub use error::{Error, Result};
pub use http::Resolve;
pub use platform::Platform;
pub use remote::{Registries, Remote, Resolved, Warn};
pub use settings::{Certificates, Folders, Hosts, Settings};
pub use tls::{Believed, tls_config};
pub use upload::{Upload, Uploaded};
