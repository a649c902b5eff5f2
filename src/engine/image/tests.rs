//! Whole ways through: archives in, images out, and what stays on disk.

use std::io::{Cursor, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tar::{Builder, EntryType, Header};
use wharf_model::{Digest, ErrorKind, ImageName, Status};

use super::hash::digest;
use super::{DEMO_IMAGE, DEMO_PROGRAMS, Images};
use crate::state::{Observed, Store};
use crate::{EngineOptions, Paths};

/// How an archive comes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Stream,
    File,
}

const WAYS: [Way; 2] = [Way::Stream, Way::File];

struct Engine {
    folder: tempfile::TempDir,
    store: Store,
    paths: Paths,
}

impl Engine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path().join("root"), folder.path().join("run"));
        std::fs::create_dir_all(paths.root()).unwrap();
        let store = Store::open(&paths.database()).unwrap();
        Self { folder, store, paths }
    }

    fn images(&mut self) -> Images<'_> {
        Images::new(&mut self.store, &self.paths)
    }

    fn load(&mut self, way: Way, archive: &[u8]) -> crate::Result<Vec<super::Loaded>> {
        match way {
            Way::Stream => self.images().load(Cursor::new(archive)),
            Way::File => {
                let mut file = tempfile::tempfile().unwrap();
                // It needn't begin where the file does.
                file.write_all(&[7; 100]).unwrap();
                file.write_all(archive).unwrap();
                file.seek(SeekFrom::Start(100)).unwrap();
                self.images().load_file(file, None)
            }
        }
    }

    fn layers(&self) -> usize {
        super::unpacked(&self.paths).len()
    }

    /// Nothing but the lock is left of what was half-made.
    fn assert_tidy(&self) {
        let left: Vec<_> = std::fs::read_dir(self.paths.temporary())
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.file_name())
            .filter(|n| n != ".lock")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn add_container(&self, id: char, image: &Digest, status: Status) {
        let mut observed = Observed::default();
        observed.state.status = status;
        let observed = serde_json::to_string(&observed).unwrap();
        let id = id.to_string().repeat(64);
        self.store
            .connection()
            .execute(
                "INSERT INTO container (id, name, created, image, spec, state)
                 VALUES (?1, ?1, 0, ?2, '{}', ?3)",
                [&id, image.as_str(), &observed],
            )
            .unwrap();
    }

    fn remove_containers(&self) {
        self.store.connection().execute("DELETE FROM container", []).unwrap();
    }
}

fn header(kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size as u64);
    header
}

fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = header(EntryType::Regular, text.len());
        builder.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn archive(members: &[(String, Vec<u8>)], links: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, data) in members {
        let mut header = header(EntryType::Regular, data.len());
        builder.append_data(&mut header, path, data.as_slice()).unwrap();
    }
    for (path, to) in links {
        builder.append_link(&mut header(EntryType::Symlink, 0), path, to).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn config(layers: &[&[u8]], label: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({
        "created": "2024-05-06T07:08:09.123456789Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["sh"], "Env": null, "Labels": {"label": label}},
        "rootfs": {
            "type": "layers",
            "diff_ids": layers.iter().map(|l| digest(l).to_string()).collect::<Vec<_>>(),
        },
        "history": [
            {"created_by": "ADD base"},
            {"created_by": "ENV x=y", "empty_layer": true},
            {"created_by": "RUN top", "comment": "buildkit"},
        ],
    }))
    .unwrap()
}

fn base() -> Vec<u8> {
    layer(&[("etc/base", "base"), ("etc/both", "low")])
}

fn top() -> Vec<u8> {
    layer(&[("etc/both", "high")])
}

/// As `docker save` wrote it before it wrote OCI layouts: folders, and links for repeated layers.
fn old_docker_archive() -> Vec<u8> {
    let configs = [config(&[&base(), &top()], "one"), config(&[&base()], "two")];
    let names: Vec<String> = configs.iter().map(|c| format!("{}.json", digest(c).hex())).collect();
    let manifest = serde_json::json!([
        {"Config": names[0], "RepoTags": ["one:1", "example.com/one:1"],
         "Layers": ["a/layer.tar", "b/layer.tar"]},
        {"Config": names[1], "RepoTags": null, "Layers": ["c/layer.tar"]},
    ]);
    archive(
        &[
            ("a/layer.tar".to_owned(), base()),
            ("b/layer.tar".to_owned(), top()),
            (names[0].clone(), configs[0].clone()),
            (names[1].clone(), configs[1].clone()),
            ("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap()),
        ],
        &[("c/layer.tar", "../a/layer.tar")],
    )
}

/// An OCI archive whose image for this platform is behind a nested index.
fn oci_archive(change: impl Fn(&mut Vec<(String, Vec<u8>)>)) -> Vec<u8> {
    let layers = [gzip(&base()), zstd::encode_all(Cursor::new(top()), 1).unwrap()];
    let config = config(&[&base(), &top()], "oci");
    let mut members = Vec::new();
    let mut add = |kind: &str, bytes: Vec<u8>| {
        let id = digest(&bytes);
        let kind = format!("application/vnd.oci.image.{kind}");
        let described = serde_json::json!(
            {"mediaType": kind, "digest": id.to_string(), "size": bytes.len()});
        members.push((format!("blobs/sha256/{}", id.hex()), bytes));
        described
    };
    let [low, high] = layers;
    let layers = [add("layer.v1.tar+gzip", low), add("layer.v1.tar+zstd", high)];
    let manifest = serde_json::json!({"schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": add("config.v1+json", config), "layers": layers});
    let mut manifest = add("manifest.v1+json", serde_json::to_vec(&manifest).unwrap());
    manifest["platform"] =
        serde_json::json!({"os": "linux", "architecture": super::oci::architecture()});
    let absent = serde_json::json!({"digest": format!("sha256:{}", "0".repeat(64)), "size": 1,
        "platform": {"os": "linux", "architecture": "s390x"}});
    let attestation = serde_json::json!({"digest": format!("sha256:{}", "1".repeat(64)), "size": 1,
        "platform": {"os": "unknown", "architecture": "unknown"}});
    let inner = serde_json::json!({"schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [absent, manifest, attestation]});
    let mut inner = add("index.v1+json", serde_json::to_vec(&inner).unwrap());
    inner["annotations"] = serde_json::json!({"io.containerd.image.name": "example.com/oci:2"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [inner]});
    members.push(("index.json".to_owned(), serde_json::to_vec(&index).unwrap()));
    members.push(("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    change(&mut members);
    archive(&members, &[])
}

/// Returns an archive of `plain:1` with these layers as they are.
fn docker_archive(layers: &[&[u8]]) -> Vec<u8> {
    let names: Vec<String> = (0..layers.len()).map(|n| format!("{n}.tar")).collect();
    let manifest =
        serde_json::json!([{"Config": "c.json", "RepoTags": ["plain:1"], "Layers": names}]);
    let mut members: Vec<(String, Vec<u8>)> =
        names.iter().cloned().zip(layers.iter().map(|layer| layer.to_vec())).collect();
    members.push(("c.json".to_owned(), config(layers, "plain")));
    members.push(("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap()));
    archive(&members, &[])
}

#[test]
fn the_same_layer_in_several_places_is_unpacked_for_each() {
    // Over itself, over another, and as an archive that holds it once.
    let layers = [base(), top(), base()];
    let plain = docker_archive(&layers.each_ref().map(Vec::as_slice));
    let linked = {
        let config = config(&layers.each_ref().map(Vec::as_slice), "linked");
        let manifest = serde_json::json!([{"Config": "c.json", "RepoTags": ["plain:1"],
            "Layers": ["a.tar", "b.tar", "a.tar"]}]);
        archive(
            &[
                ("a.tar".to_owned(), base()),
                ("b.tar".to_owned(), top()),
                ("c.json".to_owned(), config),
                ("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap()),
            ],
            &[],
        )
    };
    let packed = {
        let config = config(&layers.each_ref().map(Vec::as_slice), "packed");
        let manifest = serde_json::json!([{"Config": "c.json", "RepoTags": ["plain:1"],
            "Layers": ["a.tar", "b.tar", "a.tar"]}]);
        archive(
            &[
                ("a.tar".to_owned(), gzip(&base())),
                ("b.tar".to_owned(), top()),
                ("c.json".to_owned(), config),
                ("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap()),
            ],
            &[],
        )
    };
    for archive in [plain, linked, packed] {
        for way in WAYS {
            let mut engine = Engine::new();
            engine.load(way, &archive).unwrap();
            assert_eq!(engine.layers(), 3, "{way:?}");
            let dirs = engine.images().resolve("plain:1").unwrap().lower_dirs;
            for (dir, text) in dirs.iter().zip(["low", "high", "low"]) {
                assert_eq!(std::fs::read_to_string(dir.join("etc/both")).unwrap(), text);
            }
            engine.assert_tidy();
            // All of it can go out again, which takes the frame of each or its blob.
            let whole = crate::Engine::open(engine.paths.clone()).unwrap();
            let mut saved = Vec::new();
            whole.save(&["plain:1".to_owned()], None).unwrap().write(&mut saved).unwrap();
            assert!(
                crate::check::check(&engine.paths, EngineOptions::default(), false)
                    .unwrap()
                    .is_empty()
            );
            let mut other = Engine::new();
            other.load(way, &saved).unwrap();
            assert_eq!(other.layers(), 3);
        }
    }
}

#[test]
fn what_only_looks_like_a_layer_is_no_matter() {
    let mut members = vec![
        ("0.tar".to_owned(), base()),
        ("c.json".to_owned(), config(&[&base()], "plain")),
        // Packed, and no tar; a tar, and damaged; neither is any image's.
        ("packed".to_owned(), gzip(&b"no tar at all".repeat(100))),
        ("damaged".to_owned(), {
            let mut bytes = layer(&[("a", "1"), ("b", "2")]);
            bytes[1024] ^= 1;
            bytes
        }),
    ];
    let manifest = serde_json::json!([{"Config": "c.json", "Layers": ["0.tar"]}]);
    members.push(("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap()));
    for way in WAYS {
        let mut engine = Engine::new();
        engine.load(way, &archive(&members, &[])).unwrap();
        assert_eq!(engine.layers(), 1);
        engine.assert_tidy();
    }
    // Once they are wanted, they are judged.
    for wrong in ["packed", "damaged"] {
        let manifest = serde_json::json!([{"Config": "c.json", "Layers": [wrong]}]);
        members.last_mut().unwrap().1 = serde_json::to_vec(&manifest).unwrap();
        for way in WAYS {
            let mut engine = Engine::new();
            let error = engine.load(way, &archive(&members, &[])).unwrap_err().to_string();
            let named = error.contains(digest(&base()).as_str()) || error.contains(wrong);
            assert!(named, "{way:?} {wrong}: {error}");
            assert_eq!(engine.layers(), 0);
            engine.assert_tidy();
        }
    }
}

#[test]
fn old_docker_archives_load_and_share_layers() {
    let mut engine = Engine::new();
    let loaded = engine.images().load(Cursor::new(gzip(&old_docker_archive()))).unwrap();
    assert_eq!(loaded.len(), 2);
    assert_eq!(loaded[0].lines(), ["Loaded image: one:1", "Loaded image: example.com/one:1"]);
    assert_eq!(loaded[1].lines(), [format!("Loaded image ID: {}", loaded[1].id)]);
    assert_eq!(engine.layers(), 2);
    engine.assert_tidy();

    let one = engine.images().resolve("one:1").unwrap();
    assert_eq!(one.config.cmd, ["sh"]);
    assert_eq!(one.lower_dirs.len(), 2);
    assert_eq!(std::fs::read(one.lower_dirs[0].join("etc/both")).unwrap(), b"high");
    assert_eq!(std::fs::read(one.lower_dirs[1].join("etc/base")).unwrap(), b"base");
    let two = engine.images().resolve(loaded[1].id.short()).unwrap();
    assert_eq!(two.lower_dirs, one.lower_dirs[1..]);

    let list = engine.images().list().unwrap();
    assert_eq!(list.len(), 2);
    let detail = engine.images().detail("example.com/one:1").unwrap();
    assert_eq!(detail.summary.size, 11);
    assert_eq!(detail.summary.tags.len(), 2);
    assert_eq!(detail.layers[0].diff_id, digest(&base()));
    let history = engine.images().history("one:1").unwrap();
    let told: Vec<_> = history.iter().map(|h| (h.created_by.as_str(), h.size)).collect();
    assert_eq!(told, [("RUN top", 4), ("ENV x=y", 0), ("ADD base", 7)]);
    assert_eq!(history[0].id.as_ref(), Some(&one.id));

    // Again: nothing new is needed, and nothing breaks.
    engine.images().load(Cursor::new(old_docker_archive())).unwrap();
    assert_eq!(engine.layers(), 2);
    engine.assert_tidy();
}

#[test]
fn oci_archives_load() {
    let mut engine = Engine::new();
    let archive = zstd::encode_all(Cursor::new(oci_archive(|_| {})), 1).unwrap();
    let loaded = engine.images().load(Cursor::new(archive)).unwrap();
    assert_eq!(loaded[0].lines(), ["Loaded image: example.com/oci:2"]);
    let detail = engine.images().detail("example.com/oci:2").unwrap();
    let by_digest = detail.summary.repo_digests[0].clone();
    assert!(by_digest.starts_with("example.com/oci@sha256:"));
    assert_eq!(engine.images().resolve(&by_digest).unwrap().id, loaded[0].id);
    assert_eq!(detail.config.labels["label"], "oci");
    // The same layers, compressed otherwise, are the same layers.
    engine.images().load(Cursor::new(old_docker_archive())).unwrap();
    assert_eq!(engine.layers(), 2);
}

#[test]
fn a_wrong_digest_is_named_and_leaves_nothing() {
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", digest(bytes).hex());
    let mut engine = Engine::new();
    let packed = gzip(&base());
    let config_blob = blob(&config(&[&base(), &top()], "oci"));
    let changed = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    for (member, content, what) in [
        (blob(&packed), changed(&packed), "layer"),
        (blob(&packed), vec![b'x'; packed.len()], "layer"),
        (config_blob.clone(), config(&[&base(), &top()], "oc1"), "configuration"),
    ] {
        let archive = oci_archive(|members| {
            let found = members.iter_mut().find(|(path, _)| *path == member).unwrap();
            found.1.clone_from(&content);
        });
        for way in WAYS {
            let error = engine.load(way, &archive).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{what} sha256:")), "{way:?}: {error}");
            let digest = &member[13..];
            let names_it = error.contains(digest) && error.contains("digest mismatch");
            assert!(names_it, "{way:?}: {error}");
            assert_eq!(engine.layers(), 0);
            engine.assert_tidy();
        }
    }
    let other = oci_archive(|members| {
        let found = members.iter_mut().find(|(path, _)| *path == config_blob).unwrap();
        found.1 = b"other".to_vec();
    });
    let error = engine.images().load(Cursor::new(other)).unwrap_err().to_string();
    let wanted = format!("configuration sha256:{}: size mismatch", &config_blob[13..]);
    assert!(error.starts_with(&wanted), "{error}");
    // The blob is what the manifest says, but not the layer that the configuration says.
    let config = config(&[&base()], "x");
    let manifest = serde_json::json!([{"Config": "c.json", "Layers": ["l.tar"]}]);
    for content in [top(), b"no tar at all".repeat(100)] {
        let bad = archive(
            &[
                ("c.json".to_owned(), config.clone()),
                ("l.tar".to_owned(), content),
                ("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap()),
            ],
            &[],
        );
        let wanted = format!("layer {}: diff ID mismatch", digest(&base()));
        for way in WAYS {
            let error = engine.load(way, &bad).unwrap_err();
            assert!(error.to_string().starts_with(&wanted), "{error}");
        }
        assert_eq!((engine.layers(), engine.images().list().unwrap().len()), (0, 0));
        engine.assert_tidy();
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let mut engine = Engine::new();
    for (bytes, wanted) in [
        (layer(&[("etc/passwd", "")]), "not an image archive"),
        (b"x".repeat(2000), "bad header checksum"),
        (old_docker_archive()[..3000].to_vec(), "cut off"),
        (gzip(&old_docker_archive())[..200].to_vec(), "cut off"),
        (b"BZh91AY&SY".to_vec(), "bzip2 compression is not supported"),
        (Vec::new(), "not an image archive"),
    ] {
        for way in WAYS {
            let error = engine.load(way, &bytes).unwrap_err().to_string();
            assert!(error.contains(wanted), "{way:?}: {error}");
            engine.assert_tidy();
        }
    }
}

#[test]
fn root_filesystems_are_imported() {
    let mut engine = Engine::new();
    let tar = layer(&[("bin/sh", "#!")]);
    let mut ids = Vec::new();
    for bytes in [tar.clone(), gzip(&tar), zstd::encode_all(Cursor::new(&tar), 1).unwrap()] {
        let name: ImageName = format!("imported:{}", ids.len()).parse().unwrap();
        ids.push(engine.images().import(Cursor::new(bytes), Some(name)).unwrap());
    }
    assert_eq!(engine.layers(), 1);
    let image = engine.images().resolve("imported:1").unwrap();
    assert_eq!(image.id, ids[1]);
    assert_eq!(std::fs::read(image.lower_dirs[0].join("bin/sh")).unwrap(), b"#!");
    assert_eq!(engine.images().history("imported:0").unwrap()[0].comment, "Imported from -");
    assert_eq!(engine.images().detail("imported:0").unwrap().comment, "Imported from -");
    assert!(engine.images().import(Cursor::new(b""), None).is_err());
    engine.assert_tidy();
}

#[test]
fn references_are_resolved_as_docker_does() {
    let mut engine = Engine::new();
    let name = |text: &str| Some(text.parse::<ImageName>().unwrap());
    let id = engine.images().import(Cursor::new(layer(&[("a", "")])), name("x")).unwrap();
    for reference in ["x", "x:latest", "docker.io/library/x", id.as_str(), id.hex(), id.short()] {
        assert_eq!(engine.images().resolve(reference).unwrap().id, id, "{reference}");
    }
    assert_eq!(engine.images().resolve(&id.as_str()[..12]).unwrap().id, id);
    for (reference, kind, message) in [
        ("y", ErrorKind::NotFound, "No such image: y:latest".to_owned()),
        ("a/b:1", ErrorKind::NotFound, "No such image: a/b:1".to_owned()),
        (
            "X",
            ErrorKind::Invalid,
            "invalid reference format: repository name (library/X) must be lowercase".to_owned(),
        ),
        (
            "sha256:0000000000000000000000000000000000000000000000000000000000000000",
            ErrorKind::NotFound,
            format!("No such image: sha256:{}", "0".repeat(64)),
        ),
    ] {
        let error = engine.images().resolve(reference).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (kind, message));
    }
    // More images until two ids begin alike.
    for n in 0.. {
        engine.images().import(Cursor::new(layer(&[(&n.to_string(), "")])), None).unwrap();
        let mut firsts: Vec<_> =
            engine.images().list().unwrap().iter().map(|i| i.id.hex()[..1].to_owned()).collect();
        firsts.sort();
        if let Some(pair) = firsts.windows(2).find(|w| w[0] == w[1]) {
            let error = engine.images().resolve(&pair[0]).unwrap_err();
            assert!(error.to_string().contains("is ambiguous"), "{error}");
            break;
        }
    }
    // A name goes before an id.
    let short = id.short().to_owned();
    let other = engine.images().import(Cursor::new(layer(&[("b", "")])), name(&short)).unwrap();
    assert_eq!(engine.images().resolve(&short).unwrap().id, other);
}

#[test]
fn tags_move_and_layers_go_with_their_last_image() {
    let mut engine = Engine::new();
    let loaded = engine.images().load(Cursor::new(old_docker_archive())).unwrap();
    let (one, two) = (loaded[0].id.clone(), loaded[1].id.clone());
    let name: ImageName = "moved:1".parse().unwrap();
    engine.images().tag("one:1", &name).unwrap();
    engine.images().tag(two.short(), &name).unwrap();
    assert_eq!(engine.images().resolve("moved:1").unwrap().id, two);

    let error = engine.images().remove(one.short(), false).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple \
             repositories",
            one.short()
        )
    );
    let removed = engine.images().remove("one:1", false).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted.len()), (1, 0));
    let removed = engine.images().remove("example.com/one:1", false).unwrap();
    assert_eq!(removed.untagged[0], "example.com/one:1");
    // The lower layer is the other image's too.
    assert_eq!(removed.deleted[0], one);
    assert_eq!((removed.deleted.len(), engine.layers()), (2, 1));
    let removed = engine.images().remove(two.as_str(), false).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted.len()), (1, 2));
    assert_eq!(engine.layers(), 0);
    assert!(engine.images().list().unwrap().is_empty());
    engine.assert_tidy();
}

#[test]
fn containers_keep_their_image() {
    let mut engine = Engine::new();
    let name = || Some("x".parse::<ImageName>().unwrap());
    let id = engine.images().import(Cursor::new(layer(&[("a", "")])), name()).unwrap();
    engine.add_container('a', &id, Status::Exited);
    assert_eq!(engine.images().list().unwrap()[0].containers, 1);
    let said = |engine: &mut Engine, reference: &str, force| {
        let error = engine.images().remove(reference, force).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        error.to_string()
    };
    let short = id.short().to_owned();
    assert_eq!(
        said(&mut engine, "x", false),
        format!(
            "conflict: unable to remove repository reference \"x\" (must force) - container \
             aaaaaaaaaaaa is using its referenced image {short}"
        )
    );
    assert_eq!(
        said(&mut engine, &short, false),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped \
             container aaaaaaaaaaaa"
        )
    );
    engine.add_container('b', &id, Status::Paused);
    for force in [false, true] {
        assert_eq!(
            said(&mut engine, &short, force),
            format!(
                "conflict: unable to delete {short} (cannot be forced) - image is being used by \
                 running container bbbbbbbbbbbb"
            )
        );
    }
    // By name and by force, it only loses the name while a container runs.
    let removed = engine.images().remove("x", true).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted.len()), (1, 0));
    assert_eq!(engine.images().list().unwrap().len(), 1);

    // Stopped containers keep the layers of an image that is gone.
    engine.remove_containers();
    engine.add_container('a', &id, Status::Exited);
    let removed = engine.images().remove(&short, true).unwrap();
    assert_eq!(removed.deleted, std::slice::from_ref(&id));
    assert!(engine.images().resolve(&short).is_err());
    engine.images().sweep().unwrap();
    assert_eq!(engine.layers(), 1);
    engine.remove_containers();
    engine.images().collect().unwrap();
    assert_eq!(engine.layers(), 0);
    engine.assert_tidy();
}

#[test]
fn a_sweep_removes_what_a_killed_process_left() {
    let mut engine = Engine::new();
    let id = engine.images().import(Cursor::new(layer(&[("a", "")])), None).unwrap();
    let dead = engine.paths.temporary().join("image-0123456789abcdef");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("big"), "half").unwrap();
    let orphan = engine.paths.layers().join("0".repeat(64));
    std::fs::create_dir(&orphan).unwrap();
    let living = super::staging::Staging::new(&engine.paths).unwrap();
    let foreign = engine.paths.temporary().join("other");
    std::fs::create_dir(&foreign).unwrap();
    engine.images().sweep().unwrap();
    assert!(!dead.exists() && !orphan.exists());
    assert!(living.join(".").exists() && foreign.exists());
    assert_eq!(engine.layers(), 1);
    assert!(engine.images().resolve(id.as_str()).unwrap().lower_dirs[0].join("a").exists());
}

/// A small filesystem in memory that goes when dropped.
struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_is_one_clear_error_and_leaves_nothing() {
    let mut engine = Engine::new();
    let disk = SmallDisk(engine.folder.path().join("small"));
    std::fs::create_dir(&disk.0).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("wharf-test", &disk.0, "tmpfs", flags, Some(c"size=2m")).unwrap();
    engine.paths = Paths::new(&disk.0, disk.0.join("run"));
    engine.store = Store::open(&engine.paths.database()).unwrap();
    let big = "x".repeat(4 << 20);
    let tar = layer(&[("small", "1"), ("big", &big)]);
    let error = engine.images().import(Cursor::new(gzip(&tar)), None).unwrap_err().to_string();
    assert!(error.starts_with("read the root filesystem: \"big\": No space left"), "{error}");
    assert!(error.contains("free some space"), "{error}");
    engine.assert_tidy();
    // The archive itself fits when compressed, but its layer doesn't.
    let manifest = serde_json::json!([{"Config": "c.json", "Layers": ["l.tar"]}]);
    let archive = archive(
        &[
            ("c.json".to_owned(), config(&[&tar], "x")),
            ("l.tar".to_owned(), gzip(&tar)),
            ("manifest.json".to_owned(), serde_json::to_vec(&manifest).unwrap()),
        ],
        &[],
    );
    let wanted = format!("layer {}: \"big\": No space left", digest(&tar));
    for way in WAYS {
        let error = engine.load(way, &archive).unwrap_err().to_string();
        assert!(error.starts_with(&wanted), "{way:?}: {error}");
        assert!(error.contains("free some space"), "{error}");
        engine.assert_tidy();
    }
    let plain = docker_archive(&[&tar]);
    for way in WAYS {
        let error = engine.load(way, &plain).unwrap_err().to_string();
        assert!(error.contains("\"big\": No space left"), "{way:?}: {error}");
        engine.assert_tidy();
    }
    // There is room for a layer, but for no second copy of it.
    let tar = layer(&[("big", &big[..1_300_000])]);
    for way in WAYS {
        engine.load(way, &docker_archive(&[&tar])).unwrap();
        assert_eq!(engine.layers(), 1);
        engine.images().remove("plain:1", true).unwrap();
    }
    assert_eq!(engine.layers(), 0);
    engine.images().import(Cursor::new(layer(&[("small", "1")])), None).unwrap();
    drop(disk);
}

#[test]
fn many_may_load_and_remove_the_same_at_once() {
    let engine = Engine::new();
    let paths = &engine.paths;
    std::thread::scope(|scope| {
        for thread in 0..6 {
            scope.spawn(move || {
                let mut store = Store::open(&paths.database()).unwrap();
                let mut images = Images::new(&mut store, paths);
                for _ in 0..8 {
                    let loaded = images.load(Cursor::new(old_docker_archive())).unwrap();
                    if thread % 2 == 0 {
                        // Somebody else may have removed it already.
                        let _ = images.remove(loaded[0].id.as_str(), true);
                        let _ = images.remove(loaded[1].id.as_str(), true);
                    }
                    images.sweep().unwrap();
                }
            });
        }
    });
    let mut engine = engine;
    engine.images().load(Cursor::new(old_docker_archive())).unwrap();
    let image = engine.images().resolve("one:1").unwrap();
    assert_eq!(std::fs::read(image.lower_dirs[0].join("etc/both")).unwrap(), b"high");
    assert_eq!(std::fs::read(image.lower_dirs[1].join("etc/base")).unwrap(), b"base");
    assert_eq!(engine.layers(), 2);
    engine.assert_tidy();
}

#[test]
fn the_built_in_image_is_made_once_and_anew_for_another_binary() {
    let mut engine = Engine::new();
    let program = engine.folder.path().join("program");
    std::fs::write(&program, b"\x7fELF one").unwrap();
    let open = |path: &Path| std::fs::File::open(path).unwrap();
    let first = engine.images().ensure_demo(&open(&program)).unwrap();
    assert_eq!(engine.images().ensure_demo(&open(&program)).unwrap(), first);
    let image = engine.images().resolve("wharf/demo").unwrap();
    assert_eq!(
        (image.config.cmd, image.config.env),
        (vec!["http".into()], vec!["PATH=/bin".into()])
    );
    let root = &image.lower_dirs[0];
    for program in DEMO_PROGRAMS {
        assert_eq!(std::fs::read(root.join("bin").join(program)).unwrap(), b"\x7fELF one");
    }
    assert!(root.join("etc/passwd").exists() && root.join("tmp").is_dir());

    let other = Engine::new().images().ensure_demo(&open(&program)).unwrap();
    assert_eq!(other, first, "the same binary makes the same image");

    std::fs::write(&program, b"\x7fELF two, longer").unwrap();
    let second = engine.images().ensure_demo(&open(&program)).unwrap();
    assert_ne!(second, first);
    assert_eq!((engine.layers(), engine.images().list().unwrap().len()), (1, 1));
    // What the user calls so is left alone.
    let own = engine.images().import(Cursor::new(layer(&[("own", "")])), None).unwrap();
    engine.images().tag(own.as_str(), &DEMO_IMAGE.parse().unwrap()).unwrap();
    assert_eq!(engine.images().ensure_demo(&open(&program)).unwrap(), own);
    assert!(Images::is_demo("wharf/demo") && !Images::is_demo("wharf/demo:2"));
}

/// What skopeo makes of an image, in both forms.
#[test]
fn archives_of_skopeo_load() {
    let Ok(skopeo) = which("skopeo") else {
        eprintln!("SKIP archives_of_skopeo_load: skopeo is not installed");
        return;
    };
    let mut engine = Engine::new();
    let folder = engine.folder.path().join("skopeo");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("in.tar"), old_docker_archive()).unwrap();
    for to in ["docker-archive", "oci-archive"] {
        let out = folder.join(to);
        let status = Command::new(&skopeo)
            .args(["--insecure-policy", "copy", "-q"])
            .arg(format!("docker-archive:{}:one:1", folder.join("in.tar").display()))
            .arg(format!("{to}:{}:copied/{to}:1", out.display()))
            .status()
            .unwrap();
        assert!(status.success());
        let loaded = engine.images().load(std::fs::File::open(&out).unwrap()).unwrap();
        assert_eq!(loaded[0].lines(), [format!("Loaded image: copied/{to}:1")]);
        let image = engine.images().resolve(&format!("copied/{to}:1")).unwrap();
        assert_eq!(std::fs::read(image.lower_dirs[0].join("etc/both")).unwrap(), b"high");
    }
    assert_eq!(engine.layers(), 2);
}

fn which(program: &str) -> Result<PathBuf, ()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|p| p.join(program)).find(|p| p.exists()).ok_or(())
}
