//! Mirrors, and images that somebody must have signed.

use std::process::Command;

use base64::Engine as _;
use serde_json::json;

use super::layer;
use super::proxy::{Action, Proxy};
use super::server::{Desk, OCI_CONFIG, OCI_MANIFEST, Registry, digest, text};
use crate::harness::{Test, run};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        mirrors_go_first_and_the_registry_has_the_last_word,
        a_mirror_that_lies_is_not_believed,
        signatures_are_wanted_where_the_policy_says
    ]
}

fn mirrors_go_first_and_the_registry_has_the_last_word() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let (mirror, own) = (Proxy::before(&registry.address), Proxy::before(&registry.address));
    let layers = [layer("a", 50), layer("b", 50)];
    registry.put_image("x:1", "amd64", &layers);
    let name = format!("{}/x:1", own.address);
    desk.configure(&format!(
        "[registry.mirrors]\n{:?} = [\"http://{}/\", \"http://127.0.0.1:1\"]\n",
        own.address, mirror.address
    ));
    desk.ok(&["pull", &name]);
    assert!(!own.asked().iter().any(|asked| asked.path.contains("/x/")), "the mirror has it");
    assert!(mirror.asked().iter().any(|asked| asked.path.contains("/blobs/")));
    // The mirror lacks a blob, and then everything.
    desk.forget();
    let blob = format!("/blobs/{}", digest(&layers[1]));
    mirror.first(9, "GET", &blob, Action::Answer(404, vec![], vec![]));
    desk.ok(&["pull", &name]);
    assert!(own.asked().iter().any(|asked| asked.is("GET", &blob)));
    desk.forget();
    mirror.first(99, "GET", "/v2/", Action::Answer(404, vec![], vec![]));
    mirror.first(99, "HEAD", "/v2/", Action::Answer(404, vec![], vec![]));
    desk.ok(&["pull", &name]);
    mirror.asked();
    own.asked();
    desk.ok(&["push", &name]);
    assert_eq!(mirror.asked().len(), 0, "nothing is pushed to a mirror");
    assert!(own.asked().iter().any(|asked| asked.is("PUT", "/manifests/1")));
}

fn a_mirror_that_lies_is_not_believed() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let (mirror, own) = (Proxy::before(&registry.address), Proxy::before(&registry.address));
    let layers = [layer("a", 5000), layer("b", 5000)];
    let manifest = registry.put_image("x:1", "amd64", &layers);
    let config: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let config = config["config"]["digest"].as_str().unwrap().to_owned();
    let name = format!("{}/x:1", own.address);
    desk.configure(&format!(
        "[registry.mirrors]\n{:?} = [\"http://{}\"]\n",
        own.address, mirror.address
    ));
    let blob = format!("/blobs/{}", digest(&layers[1]));
    let wrong = Action::Answer(200, vec![], vec![b'x'; layers[1].len()]);
    for (part, action, says) in [
        ("/manifests/", Action::Corrupt, "is not believed: manifest verification failed"),
        (config.as_str(), Action::Corrupt, "digest mismatch"),
        (blob.as_str(), Action::Corrupt, "digest mismatch"),
        (blob.as_str(), wrong, "digest mismatch"),
        (blob.as_str(), Action::Longer, "its manifest says"),
        (blob.as_str(), Action::Cut(0), "(3000 of "),
    ] {
        desk.forget();
        mirror.behave();
        let cut = matches!(action, Action::Cut(_));
        mirror.first(99, "GET", part, action);
        if cut {
            mirror.first(1, "GET", part, Action::Cut(3000));
        }
        // Who wants to hear of nothing else has to hear this.
        let quiet = part != blob;
        let out = desk.ends(0, &["pull", if quiet { "-q" } else { "--quiet=false" }, &name]);
        let (out, said) = (out.stdout, out.stderr);
        let warned = format!("Warning: mirror {}", mirror.address);
        let line = said.lines().find(|line| line.starts_with(&warned));
        let line = line.unwrap_or_else(|| panic!("{part}: no warning in {said}"));
        assert!(line.contains(says), "{part}: {line}");
        assert!(line.ends_with(&format!(": asking {}", own.address)), "{part}: {line}");
        let range = cut.then_some("bytes=3000-");
        let asked = own.asked();
        let asked =
            asked.iter().find(|asked| asked.is("GET", part)).expect("the registry is asked");
        assert_eq!(asked.header("range"), range, "{part}: what came is {range:?}");
        let wanted = if quiet { name.clone() } else { format!("Digest: {}", digest(&manifest)) };
        assert!(out.lines().any(|line| line == wanted), "{out}");
        assert_eq!(desk.ok(&["system", "check"]), "");
    }
    // Where the registry lies as well, nothing is taken.
    desk.forget();
    mirror.behave();
    for liar in [&mirror, &own] {
        liar.first(99, "GET", &blob, Action::Corrupt);
    }
    desk.fails("digest mismatch", &["pull", &name]);
    assert!(!desk.has(&name));
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments);
    // What it writes is no text: it goes through a file.
    let out = run(command, input);
    assert_eq!(out.code, 0, "openssl {arguments:?}: {out:?}");
    Vec::new()
}

fn signatures_are_wanted_where_the_policy_says() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let at = registry.address.as_str();
    let folder = desk.settings();
    let path = |name: &str| text(&folder.join(name));
    let key = |name: &str| {
        let (secret, public) = (path(&format!("{name}.key")), path(&format!("{name}.pub")));
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &secret], b"");
        openssl(&["ec", "-in", &secret, "-pubout", "-out", &public], b"");
    };
    key("ours");
    key("theirs");
    let image = registry.put_image("team/x:1", "amd64", &[layer("a", 50)]);
    let image_digest = digest(&image);
    registry.put_image("open/x:1", "amd64", &[layer("a", 50)]);
    registry.put_image("shut/x:1", "amd64", &[layer("a", 50)]);
    let policy = json!({
        "default": [{ "type": "reject" }],
        "transports": { "docker": {
            format!("{at}/open"): [{ "type": "insecureAcceptAnything" }],
            format!("{at}/team"): [{ "type": "sigstoreSigned", "keyPath": path("ours.pub") }],
        } },
    });
    let (wanted, open, shut) =
        (format!("{at}/team/x:1"), format!("{at}/open/x:1"), format!("{at}/shut/x:1"));
    desk.ok(&["pull", &wanted]);
    std::fs::write(folder.join("policy.json"), policy.to_string()).unwrap();
    desk.ok(&["pull", &open]);
    desk.fails("the signature policy rejects it", &["pull", &shut]);
    // What is here already is no better for it.
    let unsigned = "the signature policy wants a signature: nobody has signed it";
    desk.fails(unsigned, &["pull", &wanted]);
    desk.forget();
    desk.fails(unsigned, &["pull", &wanted]);
    let sign = |by: &str, reference: &str, digest: &wharf_model::Digest| {
        let statement = json!({
            "critical": {
                "identity": { "docker-reference": reference },
                "image": { "docker-manifest-digest": digest },
                "type": "cosign container image signature",
            },
            "optional": null,
        });
        let statement = statement.to_string().into_bytes();
        let out = path("signature");
        openssl(
            &["dgst", "-sha256", "-sign", &path(&format!("{by}.key")), "-out", &out],
            &statement,
        );
        let signature = std::fs::read(&out).unwrap();
        let signature = base64::engine::general_purpose::STANDARD.encode(signature);
        let layer = registry.put_blob("team/x", &statement);
        let config = registry.put_blob("team/x", b"{}");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": { "mediaType": OCI_CONFIG, "digest": config, "size": 2 },
            "layers": [{
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": layer, "size": statement.len(),
                "annotations": { "dev.cosignproject.cosign/signature": signature },
            }],
        });
        let place = format!("team/x:sha256-{}.sig", image_digest.hex());
        registry.put_manifest(&place, OCI_MANIFEST, manifest.to_string().as_bytes());
    };
    let repository = format!("{at}/team/x");
    let other = wharf_model::Digest::from_bytes(&[7; 32]);
    for (by, reference, digest, why) in [
        ("theirs", repository.clone(), &image_digest, "isn't by the key of the policy"),
        ("ours", format!("{at}/open/x"), &image_digest, "its signature is for"),
        ("ours", format!("{repository}:2"), &image_digest, "its signature is for"),
        ("ours", repository.clone(), &other, "is for another image"),
    ] {
        sign(by, &reference, digest);
        desk.fails(why, &["pull", &wanted]);
        assert!(!desk.has(&wanted));
    }
    sign("ours", &repository, &image_digest);
    desk.ok(&["pull", &wanted]);
    assert!(desk.ok(&["pull", &wanted]).contains("Image is up to date"));
    let out = run(desk.command(&["create", "--pull", "always", "-q", &shut]), b"");
    assert!(out.code == 1 && out.stderr.contains("rejects it"), "{out:?}");
    // A signature is no image of the repository.
    let all = desk.ok(&["pull", "-a", &repository]);
    assert_eq!(all.matches("Digest: ").count(), 1, "{all}");
    // A policy that can't be understood stops everything.
    std::fs::write(folder.join("policy.json"), r#"{"default": [{"type": "signedBy"}]}"#).unwrap();
    desk.fails("policy.json: requirement \"signedBy\" can't be checked", &["pull", &open]);
}
