//! The caller's own side of `cp`: files of this host as archives, with the rights of the caller.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

use crate::image::pack::Packer;
use crate::image::tree::Node;
pub use crate::image::unpack::Rename;
use crate::image::unpack::{Options, Owner, unpack_into};

/// Writes a file, or a folder with all that is in it, as a tar whose paths begin with `name`. A link
/// at the end of `source` isn't followed.
///
/// # Errors
/// When a file can't be read, or `to` refuses.
pub fn pack(source: &Path, name: &[u8], to: impl Write) -> io::Result<()> {
    let mut packer = Packer::new(to).with_holes();
    packer.tree(Node::open(CWD, source.as_os_str().as_bytes())?, name)?;
    packer.finish()?;
    Ok(())
}

/// Unpacks a tar in a folder. The files are the caller's. An entry that would leave the folder, by
/// its name or through a link, is refused, as is a folder in the way of something else.
///
/// # Errors
/// When the archive is damaged or refused, or something can't be written; names the entry.
pub fn unpack(mut archive: impl Read, folder: &Path, rename: Option<Rename>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(folder, flags, Mode::empty())?;
    let options = Options {
        keeps_folders: true,
        without_links: true,
        owner: Owner::Caller,
        shown: folder.as_os_str().as_bytes().to_vec(),
        rename,
        ..Options::default()
    };
    unpack_into(&mut archive, root, options)?;
    // Up to its end, so that whoever writes it isn't cut off.
    io::copy(&mut archive, &mut io::sink()).map(drop)
}
