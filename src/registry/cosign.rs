//! Signatures as cosign makes them with a key: a manifest under the tag `sha256-HEX.sig` of the same
//! repository, whose layers are statements ("simple signing" documents) and whose annotations hold
//! the signatures over them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::Deserialize;
use wharf_model::{Digest, ErrorKind, ImageReference};

use crate::manifest::{Content, Descriptor};
use crate::policy::{Identity, Key, Policy, Requirement};
use crate::remote::Remote;
use crate::{Error, Result};

/// The annotation with a layer's signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The media type of a statement.
const STATEMENT: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// What a statement says that it is.
const KIND: &str = "cosign container image signature";

/// The longest statement.
const LONGEST_STATEMENT: u64 = 64 << 10;

/// How many signatures are looked at.
const MOST_SIGNATURES: usize = 64;

/// What comes before the point of a public key of P-256 in its DER form (RFC 5480, section 2).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The bytes of a point that isn't compressed.
const POINT: usize = 65;

#[derive(Deserialize)]
struct Statement {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: StatedIdentity,
    image: StatedImage,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StatedIdentity {
    docker_reference: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StatedImage {
    docker_manifest_digest: String,
}

/// Returns an error unless the policy lets an image be taken. `digests` are those under which it may
/// have been signed.
///
/// # Errors
/// When it doesn't, or a signature can't be looked for.
pub(crate) async fn check(
    policy: &Policy,
    remote: &Remote,
    reference: &ImageReference,
    digests: &[&Digest],
) -> Result<()> {
    for requirement in policy.requirements(reference) {
        match requirement {
            Requirement::Accept => {}
            Requirement::Reject => {
                return Err(denied(reference, "the signature policy rejects it"));
            }
            Requirement::Signed { keys, identity } => {
                let keys = keys.iter().map(point).collect::<Result<Vec<_>>>()?;
                signed(remote, reference, digests, &keys, identity).await?;
            }
        }
    }
    Ok(())
}

fn denied(reference: &ImageReference, why: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("{reference}: {why}"))
}

async fn signed(
    remote: &Remote,
    reference: &ImageReference,
    digests: &[&Digest],
    keys: &[Vec<u8>],
    identity: &Identity,
) -> Result<()> {
    let mut why = "nobody has signed it".to_owned();
    for digest in digests {
        let tag = format!("sha256-{}.sig", digest.hex());
        let manifest = match remote.manifest(&tag, None).await {
            Ok(manifest) => manifest,
            Err(error) if error.kind == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let Content::Image(content) = manifest.content()? else { continue };
        for layer in content.layers.iter().take(MOST_SIGNATURES) {
            match verified(remote, layer, reference, digest, keys, identity).await? {
                Ok(()) => return Ok(()),
                Err(reason) => why = reason,
            }
        }
    }
    Err(denied(reference, &format!("the signature policy wants a signature: {why}")))
}

/// Looks at one signature; the inner error says why it doesn't count.
async fn verified(
    remote: &Remote,
    layer: &Descriptor,
    reference: &ImageReference,
    digest: &Digest,
    keys: &[Vec<u8>],
    identity: &Identity,
) -> Result<std::result::Result<(), String>> {
    let Some(signature) = layer.annotations.get(SIGNATURE) else {
        return Ok(Err("what is there has no signature".to_owned()));
    };
    if layer.media_type != STATEMENT || layer.size > LONGEST_STATEMENT {
        return Ok(Err("what is there is no signature".to_owned()));
    }
    let statement = remote.small_blob(layer, LONGEST_STATEMENT).await?;
    Ok(judge(&statement, signature, reference, digest, keys, identity))
}

fn judge(
    statement: &[u8],
    signature: &str,
    reference: &ImageReference,
    digest: &Digest,
    keys: &[Vec<u8>],
    identity: &Identity,
) -> std::result::Result<(), String> {
    let signature = STANDARD.decode(signature).map_err(|_| "its signature can't be read")?;
    // Nothing of the statement is believed before this.
    let by_us = keys.iter().any(|key| {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(statement, &signature).is_ok()
    });
    if !by_us {
        return Err("its signature isn't by the key of the policy".to_owned());
    }
    let statement: Statement =
        serde_json::from_slice(statement).map_err(|_| "what was signed can't be read")?;
    let Critical { identity: stated, image, kind } = statement.critical;
    if kind != KIND {
        return Err(format!("what was signed is a {kind:?}"));
    }
    if image.docker_manifest_digest != digest.as_str() {
        return Err("its signature is for another image".to_owned());
    }
    if !is_for(&stated.docker_reference, reference, identity) {
        return Err(format!("its signature is for {:?}", stated.docker_reference));
    }
    Ok(())
}

/// Returns whether a signature for `stated` counts for `reference`. Cosign names the repository
/// alone.
fn is_for(stated: &str, reference: &ImageReference, identity: &Identity) -> bool {
    let Ok(stated) = stated.parse::<ImageReference>() else { return false };
    match identity {
        Identity::Repository => stated.repository() == reference.repository(),
        Identity::Exact(wanted) => wanted.parse::<ImageReference>().is_ok_and(|wanted| {
            stated.repository() == wanted.repository()
                && wanted.tag().is_none_or(|tag| stated.tag() == Some(tag))
        }),
        Identity::Reference => {
            let asked = reference.name();
            stated.repository() == reference.repository()
                && match (stated.tag(), &asked) {
                    (Some(tag), Some(name)) => tag == name.tag(),
                    // A digest says more than a tag.
                    _ => true,
                }
        }
    }
}

/// Returns the point of a public key.
fn point(key: &Key) -> Result<Vec<u8>> {
    let (pem, place) = match key {
        Key::Data(pem) => (pem.clone(), "keyData".to_owned()),
        Key::File(path) => {
            let place = path.display().to_string();
            let pem = std::fs::read(path).map_err(|cause| {
                Error::invalid(format!("signature policy: public key {place}: {cause}"))
            })?;
            (pem, place)
        }
    };
    let wrong = || {
        Error::invalid(format!(
            "signature policy: public key {place}: not an ECDSA key of P-256 in PEM form, as cosign \
             generate-key-pair makes it"
        ))
    };
    let text = String::from_utf8(pem).map_err(|_| wrong())?;
    let inner = text
        .split_once("-----BEGIN PUBLIC KEY-----")
        .and_then(|(_, rest)| rest.split_once("-----END PUBLIC KEY-----"))
        .ok_or_else(wrong)?
        .0;
    let encoded: String = inner.split_whitespace().collect();
    let der = STANDARD.decode(encoded).map_err(|_| wrong())?;
    match der.strip_prefix(&P256) {
        Some(point) if point.len() == POINT => Ok(point.to_vec()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    fn pair() -> EcdsaKeyPair {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()
    }

    fn sign(pair: &EcdsaKeyPair, text: &str) -> String {
        STANDARD.encode(pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap())
    }

    fn statement(reference: &str, digest: &Digest, kind: &str) -> String {
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{reference}"}},
               "image":{{"docker-manifest-digest":"{digest}"}},"type":"{kind}"}},"optional":null}}"#
        )
    }

    #[test]
    fn a_signature_counts_for_what_it_says_and_by_the_key_alone() {
        let (ours, theirs) = (pair(), pair());
        let keys = [ours.public_key().as_ref().to_vec()];
        let (digest, other) = (Digest::from_bytes(&[1; 32]), Digest::from_bytes(&[2; 32]));
        let reference: ImageReference = "a.example/x:1".parse().unwrap();
        let judge = |text: &str, signature: &str, identity: &Identity| {
            judge(text.as_bytes(), signature, &reference, &digest, &keys, identity)
        };
        let good = statement("a.example/x", &digest, KIND);
        assert_eq!(judge(&good, &sign(&ours, &good), &Identity::Reference), Ok(()));
        let why = judge(&good, &sign(&theirs, &good), &Identity::Reference).unwrap_err();
        assert!(why.contains("isn't by the key"));
        let changed = good.replace('1', "2");
        assert!(judge(&changed, &sign(&ours, &good), &Identity::Reference).is_err());
        assert!(judge(&good, "?", &Identity::Reference).is_err());
        for (text, why) in [
            (statement("a.example/x", &other, KIND), "another image"),
            (statement("a.example/y", &digest, KIND), "a.example/y"),
            (statement("a.example/x:2", &digest, KIND), "a.example/x:2"),
            (statement("a.example/x", &digest, "atomic container signature"), "atomic"),
            ("{}".to_owned(), "can't be read"),
        ] {
            let error = judge(&text, &sign(&ours, &text), &Identity::Reference).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let tagged = statement("a.example/x:2", &digest, KIND);
        assert_eq!(judge(&tagged, &sign(&ours, &tagged), &Identity::Repository), Ok(()));
        let exact = Identity::Exact("a.example/x:2".to_owned());
        assert_eq!(judge(&tagged, &sign(&ours, &tagged), &exact), Ok(()));
        assert!(judge(&good, &sign(&ours, &good), &exact).is_err());
    }

    #[test]
    fn keys_are_of_p256_and_in_pem_form() {
        let pair = pair();
        let der: Vec<u8> = P256.iter().chain(pair.public_key().as_ref()).copied().collect();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(&der)
        );
        assert_eq!(point(&Key::Data(pem.into_bytes())).unwrap(), pair.public_key().as_ref());
        assert!(point(&Key::Data(b"-----BEGIN PUBLIC KEY-----".to_vec())).is_err());
        let error = point(&Key::File("/nonexistent/key.pub".into())).unwrap_err();
        assert!(error.message.contains("/nonexistent/key.pub"));
    }
}
