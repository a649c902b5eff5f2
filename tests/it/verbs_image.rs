//! images, tag, rmi, history, import, load.

use std::process::Command;

use crate::harness::{
    IMAGE, Lab, Test, entry, folder, lacks_programs, link, rootfs_archive, rootfs_tar, run,
};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        the_list,
        tag_and_rmi,
        history,
        import_of_every_compression,
        import_from_standard_input,
        import_of_nonsense,
        import_with_settings,
        image_prune,
        the_built_in_image,
        layers_stack_with_whiteouts,
    ];
    tests.push(Test::new("load_what_skopeo_writes", skopeo).needing(lacks_programs(&["skopeo"])));
    tests
}

fn the_list() {
    let lab = Lab::new();
    let text = lab.ok(&["images"]);
    let lines: Vec<&str> = text.lines().collect();
    for title in ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"] {
        assert!(lines[0].contains(title), "{text}");
    }
    let row = lines.iter().find(|line| line.starts_with("box ")).unwrap();
    assert!(row.contains(" latest ") && row.ends_with("MB"), "{text}");
}

fn tag_and_rmi() {
    let lab = Lab::new();
    lab.ok(&["tag", IMAGE, "wharf-test/other:v2"]);
    assert!(lab.ok(&["images"]).contains("wharf-test/other"));
    assert_eq!(lab.ok(&["rmi", "wharf-test/other:v2"]), "Untagged: wharf-test/other:v2");
    lab.fails(1, "No such image: wharf-test/other:v2", &["rmi", "wharf-test/other:v2"]);
    lab.fails(1, "No such image: none", &["tag", "none", "x"]);
    lab.fails(1, "invalid reference format", &["tag", IMAGE, "Not/Good"]);
    let id = lab.start(&[], "sleep 1000");
    lab.fails(1, "unable to remove repository reference", &["rmi", IMAGE]);
    lab.ok(&["rm", "-f", &id]);
    let removed = lab.ok(&["rmi", IMAGE]);
    assert!(removed.starts_with("Untagged: box:latest\nDeleted: sha256:"), "{removed}");
    lab.ends(125, &["run", IMAGE, "true"]);
}

fn history() {
    let lab = Lab::new();
    let text = lab.ok(&["history", IMAGE]);
    let lines: Vec<&str> = text.lines().collect();
    for title in ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"] {
        assert!(lines[0].contains(title), "{text}");
    }
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[1].contains("MB"), "{text}");
}

fn import_of_every_compression() {
    let lab = Lab::empty();
    let plain = lab.root().join("rootfs.tar");
    std::fs::write(&plain, rootfs_tar()).unwrap();
    let plain = plain.to_str().unwrap();
    for (number, program) in [None, Some("gzip"), Some("zstd")].into_iter().enumerate() {
        if program.is_some_and(|program| lacks_programs(&[program]).is_some()) {
            // The virtual machine has no zstd; the host's run covers it.
            continue;
        }
        let path = match program {
            None => plain.to_owned(),
            Some(program) => {
                let packed = Command::new(program).args(["-c", plain]).output().unwrap();
                let path = format!("{plain}.{program}");
                std::fs::write(&path, packed.stdout).unwrap();
                path
            }
        };
        let name = format!("wharf-test/import:{number}");
        let id = lab.ok(&["import", &path, &name]);
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        let out = lab.ok(&["run", "--rm", "--network", "none", &name, "cat", "/srv/readme"]);
        assert_eq!(out, "not a program");
    }
    lab.fails(1, "/nonexistent", &["import", "/nonexistent", "x"]);
}

fn import_from_standard_input() {
    let lab = Lab::empty();
    let out = lab.run_with(&["import", "-", "wharf-test/stdin:1"], &rootfs_tar());
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(
        lab.ok(&["run", "--rm", "--network", "none", "wharf-test/stdin:1", "echo", "x"]),
        "x"
    );
}

fn import_of_nonsense() {
    let lab = Lab::empty();
    let out = lab.run_with(&["import", "-", "bad"], &[7; 4000]);
    assert_eq!(out.code, 1, "{out:?}");
    // A path that leads out of the image must not be followed.
    let mut tar = tar::Builder::new(Vec::new());
    link(&mut tar, "out", "/tmp");
    let target = format!("out/wharf-escaped-{}", std::process::id());
    entry(&mut tar, &target, 0o644, tar::EntryType::Regular, b"x");
    lab.run_with(&["import", "-", "bad"], &tar.into_inner().unwrap());
    assert!(!std::path::Path::new("/tmp").join(&target[4..]).exists());
}

fn the_built_in_image() {
    let lab = Lab::empty();
    let out =
        lab.ends(0, &["run", "-d", "--network", "none", "--name", "talker", "wharf/demo", "talk"]);
    assert_eq!(out.stdout.trim_end().len(), 64);
    assert!(lab.ok(&["images"]).contains("wharf/demo"));
    // Whoever names it has it, whether or not a container was made of it before.
    let lab = Lab::empty();
    let file = lab.root().join("demo.tar");
    lab.fails(1, "No such image: wharf/demo:latest", &["rmi", "wharf/demo"]);
    lab.fails(0, "No such image: wharf/demo:latest", &["rmi", "-f", "wharf/demo"]);
    for words in [
        &["tag", "wharf/demo", "mine:1"][..],
        &["history", "-q", "wharf/demo:latest"],
        &["inspect", "-f", "{{.Id}}", "wharf/demo"],
        &["save", "-o", file.to_str().unwrap(), "wharf/demo"],
    ] {
        lab.ok(words);
        assert!(lab.ok(&["images"]).contains("wharf/demo"), "{words:?}");
        lab.ok(&["rmi", "wharf/demo"]);
    }
    assert_eq!(lab.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]), "mine:1");
}

fn skopeo() {
    let lab = Lab::new();
    let folder = folder();
    let archive = folder.join("box.tar");
    std::fs::copy(rootfs_archive(), folder.join("layer.tar")).unwrap();
    // An OCI layout made by hand from one layer, which skopeo then writes as both archives.
    let layout = crate::verbs_image::oci_layout(&folder);
    for format in ["docker-archive", "oci-archive"] {
        let _ = std::fs::remove_file(&archive);
        let target = format!("{format}:{}:wharf-test/skopeo:{format}", archive.display());
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", &format!("oci:{layout}:x"), &target]);
        let out = run(command, b"");
        assert_eq!(out.code, 0, "{out:?}");
        let loaded = lab.ok(&["load", "-i", archive.to_str().unwrap()]);
        assert!(loaded.starts_with("Loaded image"), "{loaded}");
        let name = loaded.rsplit(": ").next().unwrap();
        let out = lab.ok(&["run", "--rm", "--network", "none", name, "cat", "/srv/readme"]);
        assert_eq!(out, "not a program", "{format}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// Writes an image of the test's root filesystem as an OCI layout and returns its path.
fn oci_layout(folder: &std::path::Path) -> String {
    let layout = folder.join("layout");
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let hash = sha256(bytes);
        std::fs::write(blobs.join(&hash), bytes).unwrap();
        serde_json::json!({"digest": format!("sha256:{hash}"), "size": bytes.len()})
    };
    let typed = |mut descriptor: serde_json::Value, media_type: &str| {
        descriptor["mediaType"] = media_type.into();
        descriptor
    };
    let layer = put(&rootfs_tar());
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    let config = put(config.to_string().as_bytes());
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": typed(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [typed(layer, "application/vnd.oci.image.layer.v1.tar")],
    });
    let manifest = put(manifest.to_string().as_bytes());
    let mut manifest = typed(manifest, "application/vnd.oci.image.manifest.v1+json");
    manifest["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": "x"});
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [manifest]});
    std::fs::write(layout.join("index.json"), index.to_string()).unwrap();
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    layout.to_str().unwrap().to_owned()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    wharf_registry::manifest::digest(bytes).hex().to_owned()
}

/// Returns an image archive, as `docker save` writes it, of these layers, lowest first.
pub(crate) fn image_archive(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<String> =
        layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let names: Vec<String> = (0..layers.len()).map(|n| format!("{n}.tar")).collect();
    let manifest = serde_json::json!([{"Config": "c.json", "RepoTags": [name], "Layers": names}]);
    let mut archive = tar::Builder::new(Vec::new());
    let file = tar::EntryType::Regular;
    for (name, layer) in names.iter().zip(layers) {
        entry(&mut archive, name, 0o644, file, layer);
    }
    entry(&mut archive, "c.json", 0o644, file, config.to_string().as_bytes());
    entry(&mut archive, "manifest.json", 0o644, file, manifest.to_string().as_bytes());
    archive.into_inner().unwrap()
}

/// Returns an archive of `wharf-test/layers:1`: two layers over busybox, the upper one taking away
/// from the lower.
pub(crate) fn layered_archive() -> Vec<u8> {
    let mut lower = tar::Builder::new(Vec::new());
    for path in ["kept", "gone", "dir/old", "dir/older"] {
        entry(&mut lower, path, 0o644, tar::EntryType::Regular, path.as_bytes());
    }
    let mut upper = tar::Builder::new(Vec::new());
    for path in [".wh.gone", "dir/.wh..wh..opq", "dir/new"] {
        entry(&mut upper, path, 0o644, tar::EntryType::Regular, b"");
    }
    let layers = [rootfs_tar(), lower.into_inner().unwrap(), upper.into_inner().unwrap()];
    image_archive("wharf-test/layers:1", &layers)
}

fn layers_stack_with_whiteouts() {
    let lab = Lab::empty();
    let out = lab.run_with(&["load"], &layered_archive());
    assert_eq!(
        (out.code, out.stdout.as_str()),
        (0, "Loaded image: wharf-test/layers:1\n"),
        "{out:?}"
    );
    let line = "cat /kept; echo; ls /gone 2>/dev/null; ls /dir";
    let out =
        lab.ok(&["run", "--rm", "--network", "none", "wharf-test/layers:1", "sh", "-c", line]);
    assert_eq!(out, "kept\nnew");
}

fn import_with_settings() {
    let lab = Lab::empty();
    let tar = rootfs_tar();
    let import =
        |flags: &[&str]| lab.run_with(&[&["import"], flags, &["-", "set:1"]].concat(), &tar);
    let out = import(&[
        "-c",
        "CMD [\"sh\", \"-c\", \"echo $A in $PWD\"]",
        "--change",
        "ENV A=1",
        "-c",
        "WORKDIR /tmp",
        "-m",
        "a remark",
        "--platform",
        "linux/amd64",
    ]);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(lab.ok(&["run", "--rm", "--network", "none", "set:1"]), "1 in /tmp");
    assert!(lab.ok(&["history", "set:1"]).contains("a remark"));
    let id = lab.ok(&["images", "-q", "--no-trunc"]);
    for (flags, says) in [
        (&["-c", "RUN true"][..], "run is not a valid change command"),
        (&["--platform", "linux/s390x"], "s390x"),
        (&["--platform", "nonsense"], "nonsense"),
    ] {
        let out = import(flags);
        assert!(out.code == 1 && out.stderr.contains(says), "{flags:?}: {out:?}");
    }
    assert_eq!(lab.ok(&["images", "-aq", "--no-trunc"]), id, "nothing came of these");
}

fn image_prune() {
    let lab = Lab::new();
    let layer = |text: &str| {
        let mut layer = tar::Builder::new(Vec::new());
        entry(&mut layer, "file", 0o644, tar::EntryType::Regular, text.repeat(5000).as_bytes());
        layer.into_inner().unwrap()
    };
    let ids = || lab.ok(&["images", "-aq", "--no-trunc"]);
    for text in ["a", "b", "c"] {
        // Each takes the name of the one before.
        lab.import(&layer(text), "moving");
    }
    lab.import(&layer("named"), "named");
    let used = lab.ok(&["create", "--name", "user", IMAGE, "true"]);
    assert_eq!(ids().lines().count(), 5, "{used}");
    // Nobody has said yes.
    let out = lab.run_with(&["image", "prune"], b"n\n");
    assert!(out.stdout.contains("This will remove all dangling images."), "{out:?}");
    assert_eq!((out.code, ids().lines().count()), (0, 5));
    lab.fails(1, "invalid filter 'odd'", &["image", "prune", "-f", "--filter", "odd=1"]);
    let spared = lab.ok(&["image", "prune", "-f", "--filter", "until=24h"]);
    assert_eq!(spared, "Total reclaimed space: 0B");
    let out = lab.run_with(&["image", "prune"], b"y\n").stdout;
    assert_eq!(out.matches("deleted: sha256:").count(), 4, "two images, two layers: {out}");
    assert!(
        out.contains("Deleted Images:\n") && !out.ends_with("Total reclaimed space: 0B\n"),
        "{out}"
    );
    assert_eq!(ids().lines().count(), 3);
    // All that no container uses; what one does, stays.
    let out = lab.ok(&["image", "prune", "--all", "--force"]);
    for line in ["untagged: moving:latest", "untagged: named:latest", "Total reclaimed space: "] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert_eq!(ids().lines().count(), 1);
    lab.ok(&["start", "-a", "user"]);
    lab.ok(&["rm", "user"]);
    lab.ok(&["image", "prune", "-af"]);
    assert_eq!(ids(), "");
    let left: Vec<_> = std::fs::read_dir(lab.root().join("layers")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    lab.ok(&["system", "check"]);
}
