//! Telling compressed streams by their first bytes, and undoing it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

/// How a stream is packed, as far as it is undone here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
    Plain,
}

impl Packing {
    /// Tells it by the first bytes.
    pub(super) fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable frame before it.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// Returns how a file is packed.
    pub(super) fn of_file(file: &File) -> io::Result<Self> {
        let mut magic = [0; 6];
        let n = file.read_at(&mut magic, 0)?;
        Ok(Self::of(&magic[..n]))
    }

    /// Returns how a stream is packed, whose beginning it reads.
    pub(super) fn of_reader(from: &mut impl Read) -> io::Result<Self> {
        let mut magic = Vec::new();
        from.take(6).read_to_end(&mut magic)?;
        Ok(Self::of(&magic))
    }

    /// Returns the media type of a layer that is packed so (OCI image specification, "Layer").
    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
        }
    }
}

/// Returns the decompressed stream: gzip and zstd are undone, anything else passes through.
///
/// # Errors
/// When the stream can't be read, or is bzip2 or xz, which are not undone here.
pub(crate) fn decompress<'a>(reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    decompress_buffered(BufReader::with_capacity(1 << 16, reader))
}

/// As [`decompress`], of what has a buffer.
pub(super) fn decompress_buffered<'a>(
    mut reader: impl BufRead + 'a,
) -> io::Result<Box<dyn Read + 'a>> {
    let mut magic = [0; 6];
    let mut filled = 0;
    while filled < magic.len() {
        match reader.read(&mut magic[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let whole = io::Cursor::new(magic).take(filled as u64).chain(reader);
    let unsupported = |name: &str| {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "{name} compression is not supported: decompress it first, or use gzip or zstd"
            ),
        ))
    };
    match (Packing::of(&magic[..filled]), &magic[..filled]) {
        (Packing::Gzip, _) => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(whole))),
        (Packing::Zstd, _) => Ok(Box::new(zstd::stream::read::Decoder::with_buffer(whole)?)),
        (_, [b'B', b'Z', b'h', ..]) => unsupported("bzip2"),
        (_, [0xfd, b'7', b'z', b'X', b'Z', ..]) => unsupported("xz"),
        _ => Ok(Box::new(whole)),
    }
}
