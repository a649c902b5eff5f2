//! The built-in image `wharf/demo`: this very program as a root filesystem, with links by whose
//! names it is one of the small programs of the demonstration.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use rusqlite::OptionalExtension;
use tar::{Builder, EntryType, Header};
use wharf_model::{Digest, ImageConfig, ImageName};

use super::Images;
use super::import::About;
use crate::{Error, Result};

/// The name of the built-in image.
pub const DEMO_IMAGE: &str = "wharf/demo:latest";

/// The programs in its `/bin`.
pub const DEMO_PROGRAMS: &[&str] = &[
    "cat", "crash", "echo", "env", "false", "http", "id", "load", "ls", "probe", "sh", "sleep",
    "talk", "true",
];

/// Bumped when the image changes for another reason than its binary.
const RECIPE: u32 = 1;

impl Images<'_> {
    /// Returns whether a reference names the built-in image.
    pub fn is_demo(reference: &str) -> bool {
        reference.parse::<ImageName>().is_ok_and(|name| name.to_string() == DEMO_IMAGE)
    }

    /// Makes the built-in image of this binary if a reference names it and no image has that name.
    ///
    /// # Errors
    /// When this program's file can't be read, or the image can't be written.
    pub fn ensure_named(&mut self, reference: &str) -> Result<()> {
        match reference.parse::<ImageName>() {
            Ok(name) if name.to_string() == DEMO_IMAGE && self.tagged(&name)?.is_none() => {
                self.ensure_own().map(drop)
            }
            _ => Ok(()),
        }
    }

    /// As [`Images::ensure_demo`], of the program that runs.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn ensure_own(&mut self) -> Result<Digest> {
        let own = File::open("/proc/self/exe")
            .map_err(|cause| Error::failed("open this program's file", cause))?;
        self.ensure_demo(&own)
    }

    /// Makes the built-in image of this binary if it isn't there, or was made of another binary,
    /// and returns its id. An image to which the user gave the name is left alone. The same binary
    /// always makes the same image.
    ///
    /// # Errors
    /// When the binary can't be read, or the image can't be written.
    pub fn ensure_demo(&mut self, binary: &File) -> Result<Digest> {
        let failed = |e: io::Error| Error::failed("make the built-in image", e);
        let name: ImageName = DEMO_IMAGE
            .parse()
            .map_err(|e: wharf_model::ParseError| Error::failed("make the built-in image", e))?;
        let metadata = binary.metadata().map_err(failed)?;
        let stamp = format!(
            "{RECIPE} {} {} {} {}.{:09}",
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec()
        );
        let made: Option<(String, String)> = self
            .store
            .connection()
            .query_row(
                "SELECT image, stamp FROM builtin WHERE name = ?",
                [name.canonical()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        let current = self.tagged(&name)?;
        if let Some(current) = &current {
            match &made {
                Some((image, of)) if image == current.as_str() && *of != stamp => {}
                _ => return Ok(current.clone()),
            }
        }
        let id = self.make(
            root_filesystem(binary, metadata.len()).map_err(failed)?,
            about(),
            vec![name.clone()],
            "import",
        )?;
        self.store.transaction(|tx| {
            tx.execute(
                "INSERT INTO builtin (name, image, stamp) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET image = ?2, stamp = ?3",
                [name.canonical().as_str(), id.as_str(), stamp.as_str()],
            )?;
            Ok(())
        })?;
        if let Some(old) = current.filter(|old| *old != id) {
            // The one before is of no use without its name; containers may still use it.
            match self.remove(old.as_str(), false) {
                Err(e) if e.kind() != wharf_model::ErrorKind::Conflict => return Err(e),
                _ => {}
            }
        }
        Ok(id)
    }
}

fn about() -> About {
    About {
        config: ImageConfig {
            env: vec!["PATH=/bin".to_owned()],
            cmd: vec!["http".to_owned()],
            exposed_ports: [("80/tcp".to_owned(), serde_json::json!({}))].into(),
            working_dir: "/".to_owned(),
            ..ImageConfig::default()
        },
        created: None,
        created_by: "wharf built-in".to_owned(),
        comment: String::new(),
    }
}

/// Returns the image's tar: the same bytes for the same binary. The binary is read in passing.
fn root_filesystem(binary: &File, size: u64) -> io::Result<impl Read> {
    let mut head = Builder::new(Vec::new());
    for (path, mode) in [
        ("./", 0o755),
        ("bin/", 0o755),
        ("etc/", 0o755),
        ("dev/", 0o755),
        ("proc/", 0o755),
        ("root/", 0o700),
        ("run/", 0o755),
        ("sys/", 0o755),
        ("tmp/", 0o1777),
        ("var/", 0o755),
    ] {
        append(&mut head, EntryType::Directory, path, mode, b"")?;
    }
    for (path, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ("etc/nsswitch.conf", "hosts: files dns\n"),
        ("etc/os-release", "ID=wharf-demo\nNAME=\"wharf demo\"\nPRETTY_NAME=\"wharf demo\"\n"),
    ] {
        append(&mut head, EntryType::Regular, path, 0o644, text.as_bytes())?;
    }
    for program in DEMO_PROGRAMS {
        let mut header = header(EntryType::Symlink, 0o777, 0);
        head.append_link(&mut header, format!("bin/{program}"), "wharf")?;
    }
    let mut header = header(EntryType::Regular, 0o755, size);
    header.set_path("bin/wharf")?;
    header.set_cksum();
    let mut bytes = head.into_inner()?;
    // The builder ends an archive; the binary comes before that end.
    bytes.truncate(bytes.len() - 1024);
    bytes.extend_from_slice(header.as_bytes());
    let end = size.next_multiple_of(512) - size + 1024;
    let mut file = binary.try_clone()?;
    io::Seek::rewind(&mut file)?;
    Ok(io::Cursor::new(bytes).chain(file.take(size)).chain(io::repeat(0).take(end)))
}

fn append(
    to: &mut Builder<Vec<u8>>,
    kind: EntryType,
    path: &str,
    mode: u32,
    data: &[u8],
) -> io::Result<()> {
    let mut header = header(kind, mode, data.len() as u64);
    to.append_data(&mut header, path, data)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
