//! TLS: whom to believe, and who we are.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::settings::Certificates;
use crate::{Error, Result};

/// Whose certificates are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// Those of the system's authorities, and of those given.
    SystemsAndThese,
    /// Those of the given authorities alone.
    These,
    /// Everybody's.
    Anybody,
}

/// Returns how to talk HTTP/1.1 to a host.
///
/// # Errors
/// When a certificate or a key can't be read.
pub fn tls_config(
    authority: &str,
    certificates: &Certificates,
    believed: Believed,
) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unreadable(authority, "TLS"))?;
    let builder = if believed == Believed::Anybody {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        let mut roots = RootCertStore::empty();
        if believed == Believed::SystemsAndThese {
            // What can't be read isn't believed; a host that needs it is refused with its name.
            let (_, _) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        for pem in &certificates.authorities {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(unreadable(authority, "authority"))?;
                roots.add(certificate).map_err(unreadable(authority, "authority"))?;
            }
        }
        if roots.is_empty() {
            return Err(Error::invalid(format!(
                "no certificate authority is known to this host: install the package \
                 ca-certificates, or put {authority}'s in certs.d/{authority}/ca.crt"
            )));
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(unreadable(authority, "authority"))?;
        builder.with_webpki_verifier(verifier)
    };
    let mut config = match &certificates.client {
        None => builder.with_no_client_auth(),
        Some((pem, key)) => {
            let chain: std::result::Result<Vec<_>, _> =
                CertificateDer::pem_slice_iter(pem).collect();
            let chain = chain.map_err(unreadable(authority, "client certificate"))?;
            let key =
                PrivateKeyDer::from_pem_slice(key).map_err(unreadable(authority, "client key"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(unreadable(authority, "client certificate"))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns what turns a cause into the error that says which of a host's files it is about.
fn unreadable<E: std::fmt::Display>(authority: &str, what: &str) -> impl Fn(E) -> Error {
    move |cause| Error::invalid(format!("certificates of {authority}: {what}: {cause}"))
}

/// Believes everybody: for hosts that the user named as insecure.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
