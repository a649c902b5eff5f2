//! Images: lists, details, names, archives.

use wharf_model::{Command, ErrorKind, ImageName, Outcome};

use super::{Bench, Check, checks, kind};
use crate::harness::{IMAGE, entry, rootfs_tar};

pub(super) const CHECKS: &[(&str, Check)] =
    checks![lists_and_details, tags_come_and_go, an_image_in_use, archives, imports];

async fn lists_and_details(bench: &Bench) {
    let name: ImageName = IMAGE.parse().unwrap();
    let list = bench.backend.images().await.unwrap();
    let row = list.iter().find(|row| row.tags.contains(&name)).unwrap();
    assert!(row.size > 500_000, "{}", row.size);
    assert!(row.created.is_some());
    for word in [IMAGE, "box:latest", row.id.as_str(), row.id.short(), row.id.hex()] {
        let detail = bench.backend.image(word).await.unwrap();
        assert_eq!(detail.summary.id, row.id, "{word}");
        assert_eq!((detail.os.as_str(), detail.architecture.as_str()), ("linux", "amd64"));
        assert_eq!(detail.layers.len(), 1);
    }
    let document = bench.backend.inspect_image(IMAGE).await.unwrap();
    assert_eq!(document["Id"], row.id.as_str());
    assert_eq!(document["RepoTags"], serde_json::json!(["box:latest"]));
    assert_eq!(document["RootFS"]["Layers"].as_array().unwrap().len(), 1);
    let history = bench.backend.history(IMAGE).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].id.as_ref(), Some(&row.id));
    assert!(history[0].size > 500_000);
    for missing in ["wharf-none", "wharf-none:1", "0123456789ab"] {
        assert_eq!(kind(bench.backend.image(missing).await), ErrorKind::NotFound, "{missing}");
        assert_eq!(kind(bench.backend.history(missing).await), ErrorKind::NotFound);
    }
}

async fn remove(bench: &Bench, image: &str, force: bool) -> Result<Outcome, wharf_backend::Error> {
    bench.backend.execute(Command::RemoveImage { image: image.to_owned(), force }).await
}

async fn tags_come_and_go(bench: &Bench) {
    let name: ImageName = "wharf-test/two:v1".parse().unwrap();
    let tag = |image: &str| Command::Tag { image: image.to_owned(), name: name.clone() };
    assert_eq!(bench.backend.execute(tag(IMAGE)).await, Ok(Outcome::Done));
    assert_eq!(bench.backend.execute(tag(IMAGE)).await, Ok(Outcome::Done), "again");
    let detail = bench.backend.image("wharf-test/two:v1").await.unwrap();
    assert_eq!(detail.summary.tags.len(), 2);
    assert_eq!(
        remove(bench, "wharf-test/two:v1", false).await,
        Ok(Outcome::ImageRemoved { untagged: vec![name.to_string()], deleted: Vec::new() })
    );
    assert_eq!(kind(remove(bench, "wharf-test/two:v1", false).await), ErrorKind::NotFound);
    assert_eq!(kind(bench.backend.execute(tag("wharf-none")).await), ErrorKind::NotFound);
    assert!(bench.backend.image(IMAGE).await.is_ok());
}

async fn an_image_in_use(bench: &Bench) {
    let id = bench.create(Bench::options("true")).await.unwrap();
    let list = bench.backend.images().await.unwrap();
    assert_eq!(list[0].containers, 1);
    assert_eq!(kind(remove(bench, IMAGE, false).await), ErrorKind::Conflict);
    bench.remove(&id, false).await.unwrap();
}

/// Returns what `docker save` would write of an image with this layer.
fn archive(layer: &[u8], diff_id: &str, name: &str) -> Vec<u8> {
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Cmd": ["sh", "-c", "echo $GREETING; exit 9"], "Env": ["GREETING=hi"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "by hand"}],
    });
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["l.tar"]}]);
    let mut tar = tar::Builder::new(Vec::new());
    let file = tar::EntryType::Regular;
    entry(&mut tar, "config.json", 0o644, file, config.to_string().as_bytes());
    entry(&mut tar, "l.tar", 0o644, file, layer);
    entry(&mut tar, "manifest.json", 0o644, file, manifest.to_string().as_bytes());
    tar.into_inner().unwrap()
}

/// Returns a file with this content.
fn in_memory(content: &[u8]) -> std::fs::File {
    use std::io::{Seek, Write};
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    let mut file = std::fs::File::from(rustix::fs::memfd_create("archive", flags).unwrap());
    file.write_all(content).unwrap();
    file.rewind().unwrap();
    file
}

async fn archives(bench: &Bench) {
    let document = bench.backend.inspect_image(IMAGE).await.unwrap();
    let diff_id = document["RootFS"]["Layers"][0].as_str().unwrap().to_owned();
    let bytes = archive(&rootfs_tar(), &diff_id, "wharf-test/loaded:1");
    let lines = bench.backend.load(in_memory(&bytes), None).await.unwrap();
    assert_eq!(lines, ["Loaded image: wharf-test/loaded:1"]);
    let mut options = Bench::options("");
    options.image = "wharf-test/loaded:1".to_owned();
    options.command = Vec::new();
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    assert_eq!(bench.backend.wait(&id).await, Ok(9));
    bench.wait_for_log(&id, "hi").await;
    let detail = bench.backend.image("wharf-test/loaded:1").await.unwrap();
    assert_eq!(detail.config.env, ["GREETING=hi"]);
    assert_eq!(kind(remove(bench, "wharf-test/loaded:1", false).await), ErrorKind::Conflict);
    bench.remove(&id, false).await.unwrap();
    match remove(bench, "wharf-test/loaded:1", false).await.unwrap() {
        Outcome::ImageRemoved { untagged, deleted } => {
            assert_eq!(untagged.len(), 1);
            // Its layer is another image's too and stays.
            assert_eq!(deleted, [detail.summary.id]);
        }
        other => panic!("{other:?}"),
    }
    assert!(bench.backend.load(in_memory(&[7; 3000]), None).await.is_err());
}

async fn imports(bench: &Bench) {
    let mut tar = tar::Builder::new(Vec::new());
    entry(&mut tar, "hello", 0o644, tar::EntryType::Regular, b"hello");
    let bytes = tar.into_inner().unwrap();
    let name: ImageName = "wharf-test/import:2".parse().unwrap();
    let reader = Box::new(std::io::Cursor::new(bytes.clone()));
    let id = bench.backend.import(reader, Some(name.clone()).into()).await.unwrap();
    assert_eq!(bench.backend.image("wharf-test/import:2").await.unwrap().summary.id, id);
    remove(bench, "wharf-test/import:2", false).await.unwrap();
    let reader = Box::new(std::io::Cursor::new(bytes));
    let id = bench.backend.import(reader, None.into()).await.unwrap();
    assert!(bench.backend.image(id.as_str()).await.unwrap().summary.tags.is_empty());
    remove(bench, id.as_str(), false).await.unwrap();
}
