use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tar::{Builder, EntryType, Header};

use super::*;

struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn add(mut self, kind: EntryType, path: &str, link: &str, mode: u32, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(1_000_000);
        // Set literally: the builder would refuse what a malicious archive holds.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    fn file(self, path: &str, data: &str) -> Self {
        self.add(EntryType::Regular, path, "", 0o644, data.as_bytes())
    }

    fn dir(self, path: &str) -> Self {
        self.add(EntryType::Directory, path, "", 0o755, b"")
    }

    fn symlink(self, path: &str, to: &str) -> Self {
        self.add(EntryType::Symlink, path, to, 0o777, b"")
    }

    fn link(self, path: &str, to: &str) -> Self {
        self.add(EntryType::Link, path, to, 0o644, b"")
    }

    fn below(self, root: &Path, lowers: &[PathBuf]) -> io::Result<Contents> {
        let contents = unpack(Cursor::new(self.0.into_inner().unwrap()), root, None)?;
        crate::image::settle::settle(root, &contents.implied, lowers)?;
        Ok(contents)
    }
}

/// A folder with `layer`, to unpack in, beside `outside`, which nothing may touch.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("layer")).unwrap();
        std::fs::create_dir(folder.path().join("outside")).unwrap();
        std::fs::write(folder.path().join("outside/secret"), "secret").unwrap();
        Self(folder)
    }

    fn layer(&self) -> PathBuf {
        self.0.path().join("layer")
    }

    fn assert_outside_untouched(&self) {
        let outside = self.0.path().join("outside");
        let names: Vec<_> = std::fs::read_dir(&outside).unwrap().flatten().collect();
        assert_eq!(names.len(), 1);
        let secret = outside.join("secret");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
        assert_eq!(std::fs::metadata(&secret).unwrap().nlink(), 1);
        assert_eq!(std::fs::read_dir(self.0.path()).unwrap().count(), 2);
    }
}

#[test]
fn owners_modes_times_and_kinds_are_kept() {
    let place = Place::new();
    let root = place.layer();
    let contents = Tar::new()
        .dir("d")
        .add(EntryType::Regular, "d/setuid", "", 0o4755, b"12345")
        .add(EntryType::Link, "d/same", "d/setuid", 0o4755, b"")
        .symlink("d/link", "/absolute/target")
        .add(EntryType::Fifo, "d/fifo", "", 0o600, b"")
        .add(EntryType::Char, "d/null", "", 0o666, b"")
        .below(&root, &[])
        .unwrap();
    assert_eq!(contents.size, 5);
    assert_eq!(contents.implied, [Components::new()]);
    let setuid = std::fs::metadata(root.join("d/setuid")).unwrap();
    assert_eq!(setuid.permissions().mode(), 0o104_755);
    assert_eq!((setuid.uid(), setuid.gid(), setuid.mtime()), (7, 8, 1_000_000));
    assert_eq!(setuid.nlink(), 2);
    assert_eq!(std::fs::metadata(root.join("d")).unwrap().mtime(), 1_000_000);
    let link = std::fs::symlink_metadata(root.join("d/link")).unwrap();
    assert_eq!((link.uid(), link.mtime()), (7, 1_000_000));
    assert_eq!(std::fs::read_link(root.join("d/link")).unwrap(), Path::new("/absolute/target"));
    assert!(std::fs::metadata(root.join("d/fifo")).unwrap().file_type().is_fifo());
    assert!(std::fs::metadata(root.join("d/null")).unwrap().file_type().is_char_device());
    assert_eq!(std::fs::metadata(&root).unwrap().permissions().mode(), 0o40755);
}

#[test]
fn extended_attributes_survive_the_change_of_owner() {
    let place = Place::new();
    // cap_net_raw=ep, revision 2.
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut tar = Tar::new();
    tar.0
        .append_pax_extensions([
            ("SCHILY.xattr.security.capability", &capability[..]),
            ("SCHILY.xattr.trusted.overlay.redirect", &b"/etc"[..]),
        ])
        .unwrap();
    tar.file("ping", "x").below(&place.layer(), &[]).unwrap();
    let mut value = [0; 64];
    let ping = place.layer().join("ping");
    let n = rustix::fs::getxattr(&ping, "security.capability", &mut value[..]).unwrap();
    assert_eq!(&value[..n], capability);
    let redirect = rustix::fs::getxattr(&ping, "trusted.overlay.redirect", &mut value[..]);
    assert_eq!(redirect, Err(Errno::NODATA));
}

#[test]
fn dotdot_above_the_root_is_refused() {
    for path in ["../escaped", "a/../../escaped", "/../escaped"] {
        let place = Place::new();
        let error = Tar::new().file(path, "x").below(&place.layer(), &[]).unwrap_err();
        assert!(error.to_string().contains("leads out of the root filesystem"), "{error}");
        place.assert_outside_untouched();
    }
    let place = Place::new();
    Tar::new().file("a/b/../c", "x").file("/absolute", "y").below(&place.layer(), &[]).unwrap();
    assert_eq!(std::fs::read(place.layer().join("a/c")).unwrap(), b"x");
    assert_eq!(std::fs::read(place.layer().join("absolute")).unwrap(), b"y");
}

#[test]
fn links_made_by_an_archive_stay_inside() {
    let place = Place::new();
    let outside = place.0.path().join("outside");
    let outside = outside.to_str().unwrap();
    let inside = format!("{}/{outside}", place.layer().display());
    let root = place.layer();
    // An absolute link is absolute within the root: where that is missing, nothing is written.
    for to in [outside, "../outside", "/proc/self/cwd"] {
        let result = Tar::new().symlink("l", to).file("l/new", "x").below(&root, &[]);
        assert!(result.is_err(), "{to}");
        place.assert_outside_untouched();
        std::fs::remove_file(root.join("l")).unwrap();
    }
    // Where it is there, it is the root's own.
    Tar::new()
        .dir("d")
        .symlink("up", "../../../../../../d")
        .file("up/new", "x")
        .below(&root, &[])
        .unwrap();
    assert_eq!(std::fs::read(root.join("d/new")).unwrap(), b"x");
    // A file takes a link's place and isn't written through it.
    Tar::new()
        .symlink("secret", &format!("{outside}/secret"))
        .file("secret", "mine")
        .below(&root, &[])
        .unwrap();
    assert_eq!(std::fs::read(root.join("secret")).unwrap(), b"mine");
    assert!(!Path::new(&inside).exists());
    place.assert_outside_untouched();
}

#[test]
fn hard_links_stay_inside() {
    let place = Place::new();
    let secret = place.0.path().join("outside/secret");
    let root = place.layer();
    for target in ["../outside/secret", secret.to_str().unwrap(), "l/secret", "missing"] {
        let error = Tar::new()
            .symlink("l", "../outside")
            .link("stolen", target)
            .below(&root, &[])
            .unwrap_err();
        assert!(error.to_string().starts_with("\"stolen\": "), "{error}");
        place.assert_outside_untouched();
    }
    // To a link itself, not to what it leads to; and to itself is nothing.
    Tar::new()
        .symlink("s", secret.to_str().unwrap())
        .link("t", "s")
        .file("f", "x")
        .link("f", "./f")
        .below(&root, &[])
        .unwrap();
    assert!(std::fs::symlink_metadata(root.join("t")).unwrap().is_symlink());
    assert_eq!(std::fs::read(root.join("f")).unwrap(), b"x");
    place.assert_outside_untouched();
}

#[test]
fn the_last_entry_of_a_name_wins() {
    let place = Place::new();
    let root = place.layer();
    Tar::new()
        .dir("x")
        .file("x/inner", "1")
        .file("x", "file now")
        .file("y", "1")
        .dir("y")
        .file("y/inner", "2")
        .symlink("z", "y")
        .dir("z")
        .file("z/own", "3")
        .below(&root, &[])
        .unwrap();
    assert_eq!(std::fs::read(root.join("x")).unwrap(), b"file now");
    assert_eq!(std::fs::read(root.join("y/inner")).unwrap(), b"2");
    assert!(!root.join("y/own").exists());
    assert_eq!(std::fs::read(root.join("z/own")).unwrap(), b"3");
}

/// Mounts layers as a container would see them.
struct Overlay(PathBuf);

impl Overlay {
    fn new(at: PathBuf, lowers: &[PathBuf]) -> Self {
        std::fs::create_dir(&at).unwrap();
        let lowers: Vec<_> = lowers.iter().map(|p| p.to_str().unwrap()).collect();
        let options = std::ffi::CString::new(format!("lowerdir={}", lowers.join(":"))).unwrap();
        mount("wharf-test", &at, "overlay", MountFlags::RDONLY, Some(options.as_c_str())).unwrap();
        Self(at)
    }

    fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.0.join(path))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn whiteouts_hide_what_is_below() {
    let place = tempfile::tempdir().unwrap();
    let layers: Vec<_> = ["top", "low"].iter().map(|n| place.path().join(n)).collect();
    for layer in &layers {
        std::fs::create_dir(layer).unwrap();
    }
    Tar::new()
        .add(EntryType::Directory, "private", "", 0o700, b"")
        .dir("opaque")
        .file("opaque/old", "")
        .dir("dir")
        .file("dir/gone", "")
        .file("dir/stays", "")
        .dir("before")
        .file("before/old", "")
        .dir("after")
        .file("after/old", "")
        .file("file", "old")
        .file("private/old", "")
        .dir("implied")
        .file("implied/old", "")
        .below(&layers[1], &[])
        .unwrap();
    Tar::new()
        .dir("opaque")
        .file("opaque/new", "")
        .add(EntryType::Regular, "opaque/.wh..wh..opq", "", 0, b"")
        .add(EntryType::Regular, "dir/.wh.gone", "", 0, b"")
        .add(EntryType::Regular, ".wh..wh.plnk", "", 0, b"")
        // The whiteout of a folder that this layer makes anew, in either order.
        .add(EntryType::Regular, ".wh.before", "", 0, b"")
        .dir("before")
        .file("before/new", "")
        .dir("after")
        .file("after/new", "")
        .add(EntryType::Regular, ".wh.after", "", 0, b"")
        .add(EntryType::Regular, ".wh.implied", "", 0, b"")
        .file("implied/new", "")
        .add(EntryType::Regular, ".wh.file", "", 0, b"")
        .file("file", "new")
        .file("private/new", "")
        .below(&layers[0], &layers[1..])
        .unwrap();
    let overlay = Overlay::new(place.path().join("merged"), &layers);
    assert_eq!(
        overlay.names(""),
        ["after", "before", "dir", "file", "implied", "opaque", "private"]
    );
    for (folder, names) in [
        ("opaque", &["new"][..]),
        ("dir", &["stays"]),
        ("before", &["new"]),
        ("after", &["new"]),
        ("implied", &["new"]),
        ("private", &["new", "old"]),
    ] {
        assert_eq!(overlay.names(folder), names, "{folder}");
    }
    assert_eq!(std::fs::read(overlay.0.join("file")).unwrap(), b"new");
    // The folder that the upper layer's archive left out is as it is below.
    let private = std::fs::metadata(overlay.0.join("private")).unwrap();
    assert_eq!((private.permissions().mode(), private.uid()), (0o40700, 7));
}

#[test]
fn holes_of_sparse_files_stay_holes() {
    let place = Place::new();
    let source = place.0.path().join("outside/sparse");
    let file = std::fs::File::create(&source).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"tail", 8 << 20).unwrap();
    file.set_len(16 << 20).unwrap();
    let tar = std::process::Command::new("tar")
        .args(["--format=pax", "-S", "-c", "-C"])
        .arg(place.0.path().join("outside"))
        .arg("sparse")
        .output()
        .unwrap();
    unpack(Cursor::new(tar.stdout), &place.layer(), None).unwrap();
    let made = place.layer().join("sparse");
    let metadata = std::fs::metadata(&made).unwrap();
    assert_eq!(metadata.len(), 16 << 20);
    assert!(metadata.blocks() * 512 < 1 << 20);
    assert_eq!(std::fs::read(&made).unwrap(), std::fs::read(&source).unwrap());
}

proptest::proptest! {
    /// Whatever paths and links an archive strings together, nothing outside changes.
    #[test]
    fn no_archive_reaches_outside(
        entries in proptest::collection::vec(
            (0u8..6, "[abl.]{1,3}(/(\\.\\.|[abl]|outside|secret)){0,4}",
                "(/|\\.\\./|[abl]/){0,5}(outside|secret|a|\\.\\.)?"),
            1..12,
        )
    ) {
        let place = Place::new();
        let mut tar = Tar::new();
        for (kind, path, link) in &entries {
            tar = match kind {
                0 => tar.dir(path),
                1 => tar.file(path, "overwritten"),
                2 | 3 => tar.symlink(path, link),
                4 => tar.link(path, link),
                _ => tar.add(EntryType::Regular, &format!("{path}/.wh.a"), "", 0, b""),
            };
        }
        let _ = tar.below(&place.layer(), &[]);
        place.assert_outside_untouched();
    }
}

fn copied(tar: Tar, folder: &Path, rename: Option<Rename>) -> io::Result<()> {
    let archive = Cursor::new(tar.0.into_inner().unwrap());
    crate::copy::unpack(archive, folder, rename)
}

#[test]
fn a_copy_follows_no_link_and_keeps_folders() {
    let place = Place::new();
    let root = place.layer();
    std::os::unix::fs::symlink("../outside", root.join("there")).unwrap();
    std::fs::create_dir(root.join("folder")).unwrap();
    std::fs::write(root.join("file"), "old").unwrap();
    copied(Tar::new().file("there/secret", "x"), &root, None).unwrap_err();
    copied(Tar::new().symlink("l", "../outside").file("l/secret", "x"), &root, None).unwrap_err();
    copied(Tar::new().link("h", "there/secret"), &root, None).unwrap_err();
    let refused = copied(Tar::new().file("folder", "x"), &root, None).unwrap_err();
    assert!(refused.to_string().starts_with("cannot overwrite directory"), "{refused}");
    let refused = copied(Tar::new().dir("file"), &root, None).unwrap_err();
    assert!(refused.to_string().starts_with("cannot overwrite non-directory"), "{refused}");
    copied(Tar::new().file("file", "new").file(".wh.kept", "plain"), &root, None).unwrap();
    assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), "new");
    assert!(root.join(".wh.kept").exists(), "only layers have whiteouts");
    // Replaced, not followed.
    copied(Tar::new().file("there", "x"), &root, None).unwrap();
    assert!(std::fs::symlink_metadata(root.join("there")).unwrap().is_file());
    place.assert_outside_untouched();
}

#[test]
fn a_copy_gets_its_new_name() {
    let place = Place::new();
    let root = place.layer();
    let rename =
        |from: Option<&[u8]>| Rename { from: from.map(<[u8]>::to_vec), to: b"to".to_vec() };
    let tar = || Tar::new().dir("a").file("a/f", "x").link("a/h", "a/f");
    copied(tar(), &root, Some(rename(Some(b"a")))).unwrap();
    assert_eq!(std::fs::metadata(root.join("to/f")).unwrap().nlink(), 2);
    assert!(!root.join("a").exists());
    copied(Tar::new().dir("./").file("./g", "y"), &root, Some(rename(None))).unwrap();
    assert_eq!(std::fs::read_to_string(root.join("to/g")).unwrap(), "y");
}
