//! Pulls and pushes against a real registry, Debian's `docker-registry`, as it is and through a proxy
//! that does to it what networks do.

mod access;
mod failures;
mod peers;
mod progress;
mod proxy;
pub(crate) mod server;
mod trust;

use serde_json::json;

use crate::harness::{Test, entry, lacks_programs, rootfs_tar, run};
use crate::tests;
use server::{Desk, OCI_CONFIG, OCI_MANIFEST, Registry, digest};

pub(crate) fn tests() -> Vec<Test> {
    let lacks = lacks_programs(&["docker-registry", "openssl", "skopeo"]);
    let mut tests = tests![
        what_is_pushed_comes_back,
        a_container_brings_its_image,
        tags_are_pulled_and_pushed_all_at_once,
        a_machine_gets_its_own_image,
        what_is_no_image_is_refused,
    ];
    tests.extend(access::tests());
    tests.extend(failures::tests());
    tests.extend(progress::tests());
    tests.extend(trust::tests());
    let mut tests: Vec<Test> = tests.into_iter().map(|test| test.needing(lacks.clone())).collect();
    tests.extend(peers::tests().into_iter().map(|test| test.needing(lacks.clone())));
    tests
}

/// Returns a layer with one file of so many bytes that don't compress.
pub(crate) fn layer(name: &str, size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::try_from(name.len()).unwrap();
    for byte in name.bytes() {
        state = state.wrapping_mul(31).wrapping_add(u64::from(byte));
    }
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    content.truncate(size);
    let mut tar = tar::Builder::new(Vec::new());
    entry(&mut tar, name, 0o644, tar::EntryType::Regular, &content);
    tar.into_inner().unwrap()
}

fn what_is_pushed_comes_back() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let at = &registry.address;
    let name = |rest: &str| format!("{at}/{rest}");
    // An image of three layers, as somebody else has put it there.
    let layers = [rootfs_tar(), layer("one", 200_000), layer("two", 10)];
    let manifest = registry.put_image("team/three:1", "amd64", &layers);
    let (one, two, moved) = (name("team/three:1"), name("team/three:2"), name("other/x:latest"));
    let out = desk.ok(&["pull", &one]);
    let short = |layer: &[u8]| digest(layer).short().to_owned();
    let mut wanted = vec![format!("1: Pulling from team/three")];
    wanted.extend(layers.iter().map(|layer| format!("{}: Pulling fs layer", short(layer))));
    wanted.extend(layers.iter().map(|layer| format!("{}: Pull complete", short(layer))));
    wanted.push(format!("Digest: {}", digest(&manifest)));
    wanted.push(format!("Status: Downloaded newer image for {one}"));
    for line in &wanted {
        assert!(out.lines().any(|found| found == line), "no {line:?} in {out}");
    }
    assert!(out.ends_with(&format!("\n{one}")), "{out}");
    let again = format!(
        "1: Pulling from team/three\nDigest: {}\nStatus: Image is up to date for {one}\n{one}",
        digest(&manifest)
    );
    assert_eq!(desk.ok(&["pull", &one]), again);
    assert_eq!(desk.ok(&["image", "pull", "-q", &one]), one);
    let shown = desk.ok(&["inspect", "-f", "{{index .RepoDigests 0}}", &one]);
    assert_eq!(shown, format!("{at}/team/three@{}", digest(&manifest)));
    assert_eq!(desk.ok(&["run", "--rm", "--network", "none", &one]), "made for amd64");

    // The same bytes go out, under another tag and into another repository.
    desk.ok(&["tag", &one, &two]);
    let out = desk.ok(&["push", &two]);
    assert!(
        out.starts_with(&format!("The push refers to repository [{at}/team/three]\n")),
        "{out}"
    );
    assert_eq!(out.matches(": Layer already exists").count(), 3, "{out}");
    let closing = format!("2: digest: {} size: {}", digest(&manifest), manifest.len());
    assert!(out.ends_with(&closing), "{out}");
    desk.ok(&["tag", &one, &moved]);
    let out = desk.ok(&["push", &name("other/x")]);
    assert!(out.starts_with("Using default tag: latest\n"), "{out}");
    assert_eq!(out.matches(": Mounted from team/three").count(), 3, "{out}");
    assert_eq!(
        registry.ask("GET", "/v2/other/x/manifests/latest", &[("Accept", OCI_MANIFEST)], b"").body,
        manifest
    );
    assert_eq!(desk.ok(&["push", "-q", &moved]), moved);

    // By digest, whatever the tag says.
    desk.forget();
    let pinned = format!("{at}/team/three@{}", digest(&manifest));
    assert!(desk.ok(&["pull", &pinned]).contains(&format!("newer image for {pinned}")));
    assert!(desk.has(&pinned) && !desk.has(&one));
    assert!(desk.ok(&["pull", &pinned]).contains("Image is up to date for"));

    // An image of our own goes and comes back the same, and its layers have the same digest each time.
    desk.forget();
    let own = name("own:1");
    let import = run(desk.command(&["import", "-", &own]), &rootfs_tar());
    assert_eq!(import.code, 0, "{import:?}");
    let id = desk.ok(&["images", "-q", "--no-trunc", &own]);
    let first = desk.ok(&["push", &own]);
    assert!(first.contains(": Pushed\n"), "{first}");
    let wrote = registry.ask("GET", "/v2/own/manifests/1", &[("Accept", OCI_MANIFEST)], b"").body;
    desk.forget();
    desk.ok(&["pull", &own]);
    assert_eq!(desk.ok(&["images", "-q", "--no-trunc", &own]), id);
    desk.forget();
    assert_eq!(run(desk.command(&["import", "-", &own]), &rootfs_tar()).code, 0);
    desk.ok(&["push", &own]);
    let again = registry.ask("GET", "/v2/own/manifests/1", &[("Accept", OCI_MANIFEST)], b"").body;
    let layers = |manifest: &[u8]| {
        let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
        manifest["layers"].clone()
    };
    assert_eq!(layers(&again), layers(&wrote));
    let shown = desk.ok(&["manifest", "inspect", &own]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown, serde_json::from_slice::<serde_json::Value>(&again).unwrap());

    for (arguments, says) in [
        (["pull", &name("team/three:no")], "manifest for"),
        (["pull", &name("nobody/x")], "not found: manifest unknown"),
        (["pull", "localhost:1/x"], "refused"),
        (["pull", "Alpine"], "repository name (library/Alpine) must be lowercase"),
        (["pull", "a@sha256:12"], "invalid reference format"),
        (["push", &name("nothing")], "An image does not exist locally with the tag:"),
        (["push", &name("own:2")], "tag does not exist:"),
        (["push", &pinned], "cannot push a digest reference"),
        (["search", "x"], "'wharf search' is not supported yet"),
    ] {
        desk.fails(says, &arguments);
    }
    desk.fails("tag can't be used with --all-tags/-a", &["pull", "-a", &one]);
    desk.fails("invalid OS/architecture/variant", &["pull", "--platform", "a b", &one]);
    assert_eq!(desk.ok(&["system", "check"]), "");
}

fn a_container_brings_its_image() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let name = format!("{}/box:1", registry.address);
    registry.put_image("box:1", "amd64", &[rootfs_tar()]);
    let line = |flags: &[&'static str]| {
        let mut words = vec!["run", "--rm", "--network", "none"];
        words.extend_from_slice(flags);
        words.push(&name);
        run(desk.command(&words), b"")
    };
    let never = line(&["--pull", "never"]);
    assert_eq!((never.code, never.stderr.contains("No such image")), (125, true), "{never:?}");
    let first = line(&[]);
    assert_eq!((first.code, first.stdout.as_str()), (0, "made for amd64\n"), "{first:?}");
    let said: Vec<&str> = first.stderr.lines().collect();
    assert_eq!(said[0], format!("Unable to find image '{name}' locally"));
    assert_eq!(said.last().unwrap(), &format!("Status: Downloaded newer image for {name}"));
    assert_eq!(line(&[]).stderr, "");
    // Somebody pushes another one.
    registry.put_image("box:1", "amd64", &[rootfs_tar(), layer("more", 5)]);
    let old = desk.ok(&["images", "-q", &name]);
    assert_eq!(line(&["--pull", "missing"]).stderr, "");
    assert_eq!(desk.ok(&["images", "-q", &name]), old);
    let quiet = line(&["--pull", "always", "-q"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""), "{quiet:?}");
    assert_ne!(desk.ok(&["images", "-q", &name]), old);
    let nobody = format!("{}/nobody", registry.address);
    let missing = run(desk.command(&["create", &nobody]), b"");
    assert_eq!((missing.code, missing.stdout.as_str()), (1, ""), "{missing:?}");
    assert!(missing.stderr.contains("not found: manifest unknown"), "{missing:?}");
    let missing = run(desk.command(&["run", &nobody]), b"");
    assert_eq!(missing.code, 125, "{missing:?}");
    desk.forget();
    let made = desk.ok(&["create", "-q", &name]);
    desk.ok(&["rm", &made]);
}

fn tags_are_pulled_and_pushed_all_at_once() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let repository = format!("{}/many", registry.address);
    for tag in ["a", "b", "c"] {
        registry.put_image(&format!("many:{tag}"), "amd64", &[layer("base", 9), layer(tag, 9)]);
    }
    let out = desk.ok(&["pull", "-a", &repository]);
    assert_eq!(out.matches(": Pulling from many").count(), 3, "{out}");
    assert_eq!(out.matches("Digest: ").count(), 3, "{out}");
    let closing = format!("Status: Downloaded newer image for {repository}\n{repository}");
    assert!(out.ends_with(&closing), "{out}");
    let out = desk.ok(&["pull", "-a", &repository]);
    assert!(out.contains(&format!("Status: Image is up to date for {repository}\n")), "{out}");
    let other = format!("{}/copy", registry.address);
    for tag in ["a", "b", "c"] {
        desk.ok(&["tag", &format!("{repository}:{tag}"), &format!("{other}:{tag}")]);
    }
    let out = desk.ok(&["push", "-a", &other]);
    assert_eq!(out.matches(": digest: ").count(), 3, "{out}");
    let tags = registry.ask("GET", "/v2/copy/tags/list", &[], b"").body;
    let tags: serde_json::Value = serde_json::from_slice(&tags).unwrap();
    assert_eq!(tags["tags"].as_array().unwrap().len(), 3);
}

fn a_machine_gets_its_own_image() {
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let registry = Registry::plain();
    let desk = Desk::new();
    let entry = |machine: &str, variant: &str| {
        let place = format!("multi:{machine}");
        let manifest = registry.put_image(&place, machine, &[layer("all", 20), layer(machine, 20)]);
        json!({ "mediaType": OCI_MANIFEST, "digest": digest(&manifest), "size": manifest.len(),
                "platform": { "architecture": machine, "os": "linux", "variant": variant } })
    };
    let entries = [entry("arm64", "v8"), entry("amd64", "")];
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    let index = index.to_string().into_bytes();
    let digest = registry.put_manifest("multi:1", INDEX, &index);
    let name = format!("{}/multi:1", registry.address);
    let machine = || desk.ok(&["inspect", "-f", "{{.Os}}/{{.Architecture}}", &name]);
    let out = desk.ok(&["pull", &name]);
    assert!(out.contains(&format!("Digest: {digest}\n")), "{out}");
    assert_eq!(machine(), "linux/amd64");
    assert!(desk.ok(&["pull", &name]).contains("Image is up to date"));
    let out = desk.ok(&["pull", "--platform", "linux/arm64", &name]);
    assert!(out.contains(": Already exists\n"), "the common layer comes again: {out}");
    assert_eq!(machine(), "linux/arm64");
    assert!(desk.ok(&["pull", "--platform", "arm64", &name]).contains("Image is up to date"));
    assert!(desk.ok(&["pull", &name]).contains("Downloaded newer image"));
    assert_eq!(machine(), "linux/amd64");
    let says = "no matching manifest for linux/s390x in the manifest list entries";
    desk.fails(says, &["pull", "--platform", "linux/s390x", &name]);
    let single = format!("{}/multi:arm64", registry.address);
    let says = "does not match the specified platform: wanted linux/amd64, actual: linux/arm64";
    desk.fails(says, &["pull", "--platform", "linux/amd64", &single]);
    let shown = desk.ok(&["manifest", "inspect", "-v", &name]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[1]["Descriptor"]["platform"]["architecture"], "amd64");
    assert_eq!(shown[1]["OCIManifest"]["schemaVersion"], 2);
    // There is one image of a name here, and who names another machine is told so.
    let other = "does not match the specified platform: wanted linux/arm64, actual: linux/amd64";
    for line in [&["history"][..], &["image", "inspect"], &["rmi"], &["rmi", "-f", "--no-prune"]] {
        desk.fails(other, &[line, &["--platform", "linux/arm64", &name]].concat());
    }
    let both = "linux/amd64,linux/arm64";
    desk.fails(other, &["image", "rm", "--platform", both, &name]);
    desk.fails("invalid OS/architecture/variant", &["history", "--platform", "a b", &name]);
    desk.fails("No such image: none:latest", &["rmi", "--platform", "amd64", "none"]);
    let id = desk.ok(&["images", "-q", "--no-trunc", &name]);
    let shown = ["image", "inspect", "--platform", "linux/amd64", "-f", "{{.Id}}", &name];
    assert_eq!(desk.ok(&shown), id);
    let steps = desk.ok(&["history", "--platform", "amd64", "-q", "--no-trunc", &name]);
    assert_eq!(steps.lines().next(), Some(id.as_str()));
    let tree = desk.ok(&["images", "--tree", &name]);
    let short = &id["sha256:".len()..][..12];
    let row = |begins: &str| {
        let line = tree.lines().find(|line| line.starts_with(begins));
        let line = line.unwrap_or_else(|| panic!("no {begins:?} in {tree}"));
        assert!(line.contains(short), "{tree}");
    };
    row(&name);
    row("└─ linux/amd64 ");
    desk.fails("--quiet is not yet supported with --tree", &["images", "--tree", "-q"]);
    desk.ok(&["rmi", "--no-prune", "--platform", "linux/amd64", &name]);
    assert!(!desk.has(&name));
    // A container that wants another machine's image gets it.
    desk.ok(&["create", "-q", "--platform", "linux/arm64", "--name", "other", &name]);
    assert_eq!(machine(), "linux/arm64");
    desk.ok(&["rm", "other"]);
}

fn what_is_no_image_is_refused() {
    let registry = Registry::plain();
    let desk = Desk::new();
    let blob = registry.put_blob("odd", b"{}");
    let rootfs = json!({ "type": "layers", "diff_ids": [digest(b"{}")] });
    let whole = json!({ "architecture": "amd64", "os": "linux", "rootfs": rootfs });
    let whole = whole.to_string().into_bytes();
    registry.put_blob("odd", &whole);
    let manifest = |config: (&str, &[u8]), layer: &str, urls: serde_json::Value| {
        json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": { "mediaType": config.0, "digest": digest(config.1), "size": config.1.len() },
            "layers": [{ "mediaType": layer, "digest": blob, "size": 2, "urls": urls }],
        })
        .to_string()
        .into_bytes()
    };
    let tar = server::OCI_LAYER;
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let put = |tag: &str, bytes: &[u8]| {
        registry.put_manifest(&format!("odd:{tag}"), OCI_MANIFEST, bytes);
    };
    put("helm", &manifest(("application/vnd.cncf.helm.config.v1+json", b"{}"), tar, json!([])));
    put("foreign", &manifest((OCI_CONFIG, &whole), foreign, json!(["https://example.com/x"])));
    put("layerless", &manifest((OCI_CONFIG, b"{}"), tar, json!([])));
    let name = |tag: &str| format!("{}/odd:{tag}", registry.address);
    desk.fails("is no image that can be run", &["pull", &name("helm")]);
    desk.fails("foreign", &["pull", &name("foreign")]);
    desk.fails("layers", &["pull", &name("layerless")]);

    let proxy = proxy::Proxy::before(&registry.address);
    let old = json!({ "schemaVersion": 1, "name": "odd", "tag": "old", "fsLayers": [] });
    let answer = |kind: &str, body: Vec<u8>| {
        let kind = vec![("Content-Type", kind.to_owned())];
        proxy.behave();
        proxy.first(9, "GET", "/manifests/", proxy::Action::Answer(200, kind, body));
    };
    let through = format!("{}/odd:x", proxy.address);
    let v1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    answer(v1, old.to_string().into_bytes());
    desk.fails("schema 1", &["pull", &through]);
    answer("text/html", b"<html>welcome to our Wi-Fi</html>".to_vec());
    desk.fails("it isn't one", &["pull", &through]);
    answer(OCI_MANIFEST, vec![b' '; (4 << 20) + 1]);
    desk.fails("longer than 4194304 bytes", &["pull", &through]);
    assert_eq!(desk.ok(&["images", "-aq"]), "");
    assert_eq!(desk.ok(&["system", "check"]), "");
}
