//! Images that are received blob by blob, and sent again: what stays, and that it is the same bytes.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};

use serde_json::json;
use tar::{Builder, EntryType, Header};
use wharf_model::{Digest, ErrorKind, ImageName};

use super::hash::digest;
use super::{Here, Outgoing};
use crate::{Engine, EngineOptions, Paths};

struct Place {
    engine: Engine,
    paths: Paths,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path().join("root"), folder.path().join("run"));
        let engine = Engine::open(paths.clone()).unwrap();
        Self { engine, paths, _folder: folder }
    }

    fn blobs(&self) -> usize {
        super::blobs::files(&self.paths).len()
    }

    /// Nothing half-made is there.
    fn assert_tidy(&self) {
        let left = std::fs::read_dir(self.paths.temporary()).unwrap().count();
        assert_eq!(left, 1, "nothing but the lock");
        let findings = crate::check::check(&self.paths, EngineOptions::default(), false).unwrap();
        assert!(findings.is_empty(), "{findings:?}");
    }

    fn receive(&self, image: &Image) -> crate::Result<Digest> {
        let receiving = self.engine.receive(&image.manifest, OCI, &image.config)?;
        for (n, layer) in receiving.layers().iter().enumerate().rev() {
            let mut blob = Cursor::new(image.blobs[n].clone());
            if layer.here != Here::Missing {
                blob = Cursor::new(Vec::new());
            }
            receiving.layer(n, &mut blob, &|_| {})?;
        }
        let digest = digest(&image.manifest);
        receiving.publish(&[name("pulled:1")], Some(("docker.io/library/pulled", &digest)))
    }

    fn save(&self, references: &[&str]) -> Vec<u8> {
        let references: Vec<String> = references.iter().map(|r| (*r).to_owned()).collect();
        let mut bytes = Vec::new();
        self.engine.save(&references, None).unwrap().write(&mut bytes).unwrap();
        bytes
    }

    fn load(&self, archive: &[u8]) -> Vec<super::Loaded> {
        self.engine.with_images(|images| images.load(Cursor::new(archive))).unwrap()
    }
}

const OCI: &str = super::oci::MANIFEST;

fn name(text: &str) -> ImageName {
    text.parse().unwrap()
}

fn tar(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, data) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o640);
        header.set_mtime(1_000_000);
        match kind {
            EntryType::Link | EntryType::Symlink => {
                builder.append_link(&mut header, path, data).unwrap();
            }
            _ => {
                header.set_size(data.len() as u64);
                builder.append_data(&mut header, path, data.as_bytes()).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Image {
    manifest: Vec<u8>,
    config: Vec<u8>,
    blobs: Vec<Vec<u8>>,
}

impl Image {
    fn of(layers: &[(&[u8], Vec<u8>)]) -> Self {
        let config = serde_json::to_vec(&json!({
            "architecture": super::oci::architecture(), "os": "linux",
            "rootfs": {"type": "layers", "diff_ids":
                layers.iter().map(|(tar, _)| digest(tar)).collect::<Vec<_>>()},
        }))
        .unwrap();
        let described = |kind: &str, blob: &[u8]| {
            json!({
                "mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": digest(blob), "size": blob.len(),
            })
        };
        // Spaces that no writer of ours would make.
        let manifest = serde_json::to_vec_pretty(&json!({
            "schemaVersion": 2, "mediaType": OCI,
            "config": described("config.v1+json", &config),
            "layers": layers
                .iter()
                .map(|(_, blob)| described("layer.v1.tar+gzip", blob))
                .collect::<Vec<_>>(),
        }))
        .unwrap();
        let blobs = layers.iter().map(|(_, blob)| blob.clone()).collect();
        Self { manifest, config, blobs }
    }

    fn example() -> Self {
        let base = tar(&[("etc/base", EntryType::Regular, "base")]);
        let top =
            tar(&[("etc/top", EntryType::Regular, "top"), ("in/d/f", EntryType::Regular, "x")]);
        // Two members, as some writers make.
        let (head, tail) = top.split_at(700);
        let top_blob = [gzip(head), gzip(tail)].concat();
        Self::of(&[(&base, gzip(&base)), (&top, top_blob)])
    }
}

fn bytes_of(outgoing: &Outgoing) -> Vec<Vec<u8>> {
    let read = |layer: &super::OutgoingLayer| {
        let mut bytes = Vec::new();
        layer.open().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, layer.blob.size);
        assert_eq!(digest(&bytes), layer.blob.digest);
        bytes
    };
    outgoing.layers.iter().map(read).collect()
}

#[test]
fn what_comes_goes_out_byte_for_byte() {
    let place = Place::new();
    let image = Image::example();
    let id = place.receive(&image).unwrap();
    assert_eq!(place.blobs(), 2);
    place.assert_tidy();
    let sent = place.engine.outgoing("pulled:1").unwrap();
    assert_eq!((&sent.id, &sent.manifest, &sent.config), (&id, &image.manifest, &image.config));
    assert_eq!(sent.media_type, OCI);
    assert_eq!(bytes_of(&sent), image.blobs);
    assert_eq!(sent.repositories, ["docker.io/library/pulled"]);
    let manifest = digest(&image.manifest);
    let known = place.engine.received("docker.io/library/pulled", &manifest).unwrap();
    assert_eq!(known, Some(id.clone()));
    // Again: all is here.
    let again = place.engine.receive(&image.manifest, OCI, &image.config).unwrap();
    assert!(again.layers().iter().all(|layer| layer.here == Here::Unpacked));
    again.publish(&[name("again")], None).unwrap();
    // By its digest, and away with all of it.
    let by_digest = format!("pulled@{manifest}");
    let detail = place.engine.with_images(|images| images.detail(&by_digest)).unwrap();
    assert_eq!(detail.summary.repo_digests, [by_digest.as_str()]);
    let removed = place.engine.remove_image("pulled:1", false).unwrap();
    assert_eq!(removed.untagged, ["pulled:1", by_digest.as_str()]);
    assert_eq!(place.blobs(), 2);
    let removed = place.engine.remove_image("again", false).unwrap();
    assert_eq!((removed.untagged, removed.deleted.len()), (vec!["again:latest".to_owned()], 3));
    assert_eq!(place.blobs(), 0);
    place.assert_tidy();
}

#[test]
fn an_interrupted_pull_leaves_whole_blobs_and_the_next_goes_on() {
    let place = Place::new();
    let image = Image::example();
    let receiving = place.engine.receive(&image.manifest, OCI, &image.config).unwrap();
    receiving.layer(1, &mut Cursor::new(&image.blobs[1]), &|_| {}).unwrap();
    // A connection that breaks.
    let broken = |after: usize| {
        let head = Cursor::new(image.blobs[0][..after].to_vec());
        head.chain(Failing)
    };
    let error = receiving.layer(0, &mut broken(20), &|_| {}).unwrap_err();
    assert!(error.to_string().contains("reset by the far side"), "{error}");
    let error = receiving.publish(&[name("x")], None).unwrap_err();
    assert!(error.to_string().contains("was not received"), "{error}");
    assert_eq!(place.blobs(), 1);
    place.assert_tidy();
    // While another pull is under way, nothing that no image has is taken away.
    let next = place.engine.receive(&image.manifest, OCI, &image.config).unwrap();
    let here: Vec<Here> = next.layers().iter().map(|layer| layer.here).collect();
    assert_eq!(here, [Here::Missing, Here::Blob]);
    place.engine.prune_images(false, &wharf_model::Filters::default()).unwrap();
    assert_eq!(place.blobs(), 1);
    let told = std::cell::Cell::new(0);
    next.layer(0, &mut Cursor::new(&image.blobs[0]), &|n| told.set(n)).unwrap();
    assert_eq!(told.get(), image.blobs[0].len() as u64);
    next.layer(1, &mut Failing, &|_| {}).unwrap();
    next.publish(&[name("x")], None).unwrap();
    assert_eq!(bytes_of(&place.engine.outgoing("x").unwrap()), image.blobs);
    place.assert_tidy();
    // What was kept of another one goes with a prune.
    place.engine.remove_image("x", true).unwrap();
    let receiving = place.engine.receive(&image.manifest, OCI, &image.config).unwrap();
    receiving.layer(0, &mut Cursor::new(&image.blobs[0]), &|_| {}).unwrap();
    drop(receiving);
    assert_eq!(place.blobs(), 1);
    let pruned = place.engine.prune_images(false, &wharf_model::Filters::default()).unwrap();
    assert!(pruned.reclaimed >= 512, "{}", pruned.reclaimed);
    assert_eq!(place.blobs(), 0);
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset by the far side"))
    }
}

#[test]
fn lies_are_named_and_leave_nothing() {
    let place = Place::new();
    let image = Image::example();
    let attempt = |blob: &[u8]| {
        let receiving = place.engine.receive(&image.manifest, OCI, &image.config).unwrap();
        receiving.layer(0, &mut Cursor::new(blob), &|_| {}).unwrap_err().to_string()
    };
    let blob = &image.blobs[0];
    let mut other = blob.clone();
    *other.last_mut().unwrap() ^= 1;
    for (bytes, wanted) in [
        (other, "digest mismatch"),
        (gzip(b"something else"), "is cut off"),
        (blob[..blob.len() - 1].to_vec(), "is cut off"),
        ([blob.clone(), vec![0]].concat(), "has more than its"),
        (vec![7; blob.len()], "digest mismatch"),
    ] {
        let error = attempt(&bytes);
        assert!(error.contains(wanted), "{wanted}: {error}");
        assert_eq!(place.blobs(), 0);
        place.assert_tidy();
    }
    // The blob is the manifest's, but not the layer that the configuration says.
    let (base, lie) =
        (tar(&[("a", EntryType::Regular, "a")]), tar(&[("b", EntryType::Regular, "b")]));
    let error = place.receive(&Image::of(&[(&base, gzip(&lie))])).unwrap_err();
    assert!(error.to_string().contains("diff ID mismatch"), "{error}");
    assert_eq!(place.blobs(), 0);
    // Documents that don't fit each other.
    let receive = |manifest: &[u8], media_type: &str, config: &[u8]| {
        place.engine.receive(manifest, media_type, config).err().unwrap()
    };
    let error = receive(&image.manifest, OCI, b"{}");
    assert!(error.to_string().contains("digest mismatch"), "{error}");
    let error = receive(&image.manifest, super::oci::INDEX, &image.config);
    assert!(error.to_string().contains("no image's manifest"), "{error}");
    let foreign = String::from_utf8(image.manifest.clone())
        .unwrap()
        .replace("oci.image.layer.v1.tar+gzip", "oci.image.layer.nondistributable.v1.tar+gzip");
    let error = receive(foreign.as_bytes(), OCI, &image.config);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("foreign layer"), "{error}");
    place.assert_tidy();
}

#[test]
fn a_damaged_blob_is_noticed_and_fetched_again() {
    let place = Place::new();
    let image = Image::example();
    let receiving = place.engine.receive(&image.manifest, OCI, &image.config).unwrap();
    receiving.layer(0, &mut Cursor::new(&image.blobs[0]), &|_| {}).unwrap();
    drop(receiving);
    let path = place.paths.blob(&digest(&image.blobs[0]));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[30] ^= 0xff;
    std::fs::write(&path, bytes).unwrap();
    let receiving = place.engine.receive(&image.manifest, OCI, &image.config).unwrap();
    assert_eq!(receiving.layers()[0].here, Here::Blob);
    let error = receiving.layer(0, &mut io::empty(), &|_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    drop(receiving);
    assert_eq!(place.blobs(), 0);
    place.receive(&image).unwrap();
    // One that is cut short, or gone, is no blob: it is fetched again.
    std::fs::remove_file(&path).unwrap();
    place.receive(&image).unwrap();
    assert_eq!(bytes_of(&place.engine.outgoing("pulled:1").unwrap()), image.blobs);
    std::fs::write(&path, b"short").unwrap();
    let findings = crate::check::check(&place.paths, EngineOptions::default(), true).unwrap();
    assert!(findings.iter().any(|f| f.problem.contains("blob") || f.object.contains("blob")));
    let error = place.engine.outgoing("pulled:1").err().unwrap();
    assert!(error.to_string().contains("pull or load the image again"), "{error}");
    place.receive(&image).unwrap();
    assert_eq!(bytes_of(&place.engine.outgoing("pulled:1").unwrap()), image.blobs);
    place.assert_tidy();
}

/// An archive with everything that makes it hard to put together again.
fn hard() -> Vec<u8> {
    let big = "0123456789abcdef".repeat(20_000);
    let mut bytes = tar(&[
        ("d/", EntryType::Directory, ""),
        ("d/big", EntryType::Regular, &big),
        ("twice", EntryType::Regular, "the first"),
        ("d/same", EntryType::Link, "twice"),
        ("empty", EntryType::Regular, ""),
        ("d/to", EntryType::Symlink, "../twice"),
        ("link", EntryType::Symlink, "d"),
        ("link/through", EntryType::Regular, "through a link"),
        ("twice", EntryType::Regular, "the second, longer"),
        ("twice", EntryType::Regular, "the third"),
        ("d/same", EntryType::Regular, "no link any more"),
        (".wh.gone", EntryType::Regular, "whiteouts have no content, but this has"),
        ("d/.wh..wh..opq", EntryType::Regular, ""),
    ]);
    // What stands behind an archive's end belongs to its digest too.
    bytes.extend_from_slice(&[0; 10_240]);
    bytes.extend_from_slice(b"trailing");
    bytes
}

#[test]
fn imported_archives_are_packed_again_to_the_same_bytes() {
    let place = Place::new();
    let hard = hard();
    let import = |bytes: &[u8]| {
        place.engine.with_images(|i| i.import(Cursor::new(bytes), Some(name("hard")))).unwrap();
    };
    import(&hard);
    let first = place.engine.outgoing("hard").unwrap();
    let blobs = bytes_of(&first);
    let mut found = Vec::new();
    flate2::read::GzDecoder::new(blobs[0].as_slice()).read_to_end(&mut found).unwrap();
    assert!(found == hard, "{} bytes instead of {}", found.len(), hard.len());
    assert_eq!(place.blobs(), 1);
    place.assert_tidy();
    // Whenever it is packed, it is the same blob.
    place.engine.remove_image("hard", false).unwrap();
    assert_eq!(place.blobs(), 0);
    import(&gzip(&hard));
    assert_eq!(bytes_of(&place.engine.outgoing("hard").unwrap()), blobs);
    // The kept blob serves a second time, and images that come later.
    assert_eq!(place.engine.outgoing("hard").unwrap().layers[0].blob.digest, digest(&blobs[0]));
}

#[test]
fn sparse_files_are_packed_again_to_the_same_bytes() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 3 << 20).unwrap();
    file.set_len(5 << 20).unwrap();
    std::fs::File::create(folder.path().join("hole")).unwrap().set_len(1 << 20).unwrap();
    for format in ["gnu", "pax"] {
        let tar = std::process::Command::new("tar")
            .args([&format!("--format={format}"), "-S", "-c", "-C"])
            .arg(folder.path())
            .arg(".")
            .output()
            .unwrap()
            .stdout;
        place.engine.with_images(|i| i.import(Cursor::new(&tar), Some(name(format)))).unwrap();
        let blobs = bytes_of(&place.engine.outgoing(format).unwrap());
        let mut found = Vec::new();
        flate2::read::GzDecoder::new(blobs[0].as_slice()).read_to_end(&mut found).unwrap();
        assert!(found == tar, "{format}");
    }
}

fn members(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(members.insert(path, bytes).is_none());
    }
    members
}

#[test]
fn saved_images_load_as_they_were() {
    let place = Place::new();
    let image = Image::example();
    place.receive(&image).unwrap();
    let hard = hard();
    place.engine.with_images(|i| i.import(Cursor::new(&hard), Some(name("repo:1")))).unwrap();
    place.engine.with_images(|i| i.tag("repo:1", &name("repo:2"))).unwrap();
    // All of a repository, an image twice, and one by its id.
    let id = place.engine.with_images(|i| i.resolve("pulled:1")).unwrap().id;
    let saved = place.save(&["repo", "repo:2", id.short()]);
    assert!(saved == place.save(&["repo", "repo:2", id.short()]));
    let members = members(&saved);
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", digest(bytes).hex());
    assert_eq!(members[&blob(&image.manifest)], image.manifest);
    assert_eq!(members[&blob(&image.blobs[1])], image.blobs[1]);
    // A layer that came as a plain archive goes as one.
    assert!(members[&blob(&hard)] == hard);
    let list: serde_json::Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    assert_eq!(list[0]["RepoTags"], json!(["repo:1", "repo:2"]));
    assert_eq!(list[1]["RepoTags"], serde_json::Value::Null);

    let other = Place::new();
    let loaded = other.load(&saved);
    assert_eq!(loaded.len(), 2);
    assert_eq!(loaded[1].id, id);
    let sent = other.engine.outgoing(id.as_str()).unwrap();
    assert_eq!(sent.manifest, image.manifest);
    assert_eq!(bytes_of(&sent), image.blobs);
    // Its layer has no blob there either.
    assert_eq!(other.blobs(), 2);
    assert!(other.save(&["repo", id.as_str()]) == saved);
    other.assert_tidy();
    // What was pulled elsewhere and is here only by its layers gets its blobs.
    let third = Place::new();
    let plain = tar(&[("etc/base", EntryType::Regular, "base")]);
    third.engine.with_images(|i| i.import(Cursor::new(&plain), Some(name("base")))).unwrap();
    third.load(&saved);
    assert_eq!(bytes_of(&third.engine.outgoing(id.as_str()).unwrap()), image.blobs);
    third.assert_tidy();
}

#[test]
fn layers_below_lend_their_folders_in_whatever_order_they_come() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let base = tar(&[("in/", EntryType::Directory, ""), ("in/d/", EntryType::Directory, "")]);
    let top = tar(&[("in/d/f", EntryType::Regular, "x"), ("new/f", EntryType::Regular, "x")]);
    place.receive(&Image::of(&[(&base, gzip(&base)), (&top, gzip(&top))])).unwrap();
    let image = place.engine.with_images(|images| images.resolve("pulled:1")).unwrap();
    let mode =
        |path: &str| std::fs::metadata(image.lower_dirs[0].join(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("in"), mode("in/d"), mode("new")), (0o640, 0o640, 0o755));
}
