//! Telling compressed streams by their first bytes, and undoing it.

use std::io::{self, BufReader, Read};

/// Returns the decompressed stream: gzip and zstd are undone, anything else passes through.
///
/// # Errors
/// When the stream can't be read, or is bzip2 or xz, which are not undone here.
pub(crate) fn decompress<'a>(mut reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
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
    match &magic[..filled] {
        [0x1f, 0x8b, ..] => {
            let buffered = BufReader::with_capacity(1 << 16, whole);
            Ok(Box::new(flate2::bufread::MultiGzDecoder::new(buffered)))
        }
        // A frame, or a skippable frame before it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Ok(Box::new(zstd::stream::read::Decoder::new(whole)?))
        }
        [b'B', b'Z', b'h', ..] => unsupported("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => unsupported("xz"),
        _ => Ok(Box::new(whole)),
    }
}
