//! TLS, where both sides show certificates: a client that has none of the given authority's is
//! refused before it can ask for anything, since whoever may ask is as good as root.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

/// Files in PEM, under the names of docker's flags.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// The authority whose clients are let in (`--tlscacert`).
    pub authority: &'a Path,
    /// The server's certificate, with those between it and its authority (`--tlscert`).
    pub certificate: &'a Path,
    /// Its key (`--tlskey`).
    pub key: &'a Path,
}

/// Returns what meets clients.
///
/// # Errors
/// A sentence that names the flag, when a file can't be read or isn't what it should be.
pub(crate) fn acceptor(files: Files<'_>) -> Result<TlsAcceptor, String> {
    let read = |flag: &str, path: &Path| {
        std::fs::read(path).map_err(|cause| format!("{flag} {}: {cause}", path.display()))
    };
    let certificates = |flag: &str, path: &Path| {
        let pem = read(flag, path)?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            Ok(_) => Err(format!("{flag} {}: there is no certificate in it", path.display())),
            Err(cause) => Err(format!("{flag} {}: {cause}", path.display())),
        }
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates("--tlscacert", files.authority)? {
        roots
            .add(certificate)
            .map_err(|cause| format!("--tlscacert {}: {cause}", files.authority.display()))?;
    }
    let chain = certificates("--tlscert", files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read("--tlskey", files.key)?)
        .map_err(|cause| format!("--tlskey {}: {cause}", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|cause| format!("--tlscacert {}: {cause}", files.authority.display()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| format!("TLS: {cause}"))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(|cause| format!("--tlscert and --tlskey don't go together: {cause}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
