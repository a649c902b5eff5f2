use std::io::{Cursor, Read, Write};
use std::process::Command;

use tar::{Builder, EntryType, Header};

use super::*;

fn header(kind: EntryType, path: &str, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(path).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(1);
    header.set_gid(2);
    header.set_mtime(3);
    header.set_cksum();
    header
}

fn entries(bytes: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
    let mut stream = TarStream::new(Cursor::new(bytes));
    let mut all = Vec::new();
    while let Some(entry) = stream.next_entry()? {
        let mut data = Vec::new();
        stream.read_to_end(&mut data)?;
        all.push((entry, data));
    }
    Ok(all)
}

#[test]
fn gnu_long_names_and_plain_entries_are_read() {
    let mut builder = Builder::new(Vec::new());
    let long = "d/".repeat(90) + "file";
    let mut head = Header::new_gnu();
    head.set_size(5);
    head.set_mode(0o4755);
    builder.append_data(&mut head, &long, &b"hello"[..]).unwrap();
    let mut link = Header::new_gnu();
    link.set_entry_type(EntryType::Symlink);
    link.set_size(0);
    builder.append_link(&mut link, "l", &long).unwrap();
    let all = entries(&builder.into_inner().unwrap()).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].0.path, long.as_bytes());
    assert_eq!((all[0].0.mode, all[0].1.as_slice()), (0o4755, &b"hello"[..]));
    assert_eq!((all[1].0.kind, all[1].0.link.as_slice()), (EntryKind::Symlink, long.as_bytes()));
}

#[test]
fn pax_values_may_hold_newlines_and_override_the_header() {
    let mut builder = Builder::new(Vec::new());
    let capability = b"\x01\0\0\x02\n\x04=\0\n\0";
    builder
        .append_pax_extensions([
            ("SCHILY.xattr.security.capability", &capability[..]),
            ("path", &b"other name"[..]),
            ("uid", &b"3000000"[..]),
            ("mtime", &b"-1.25"[..]),
            ("size", &b"3"[..]),
        ])
        .unwrap();
    builder.append(&header(EntryType::Regular, "x", 0), &b""[..]).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.write_all(b"abc").unwrap();
    let (entry, data) = entries(&bytes).unwrap().remove(0);
    assert_eq!(entry.path, b"other name");
    assert_eq!((entry.uid, entry.gid), (3_000_000, 2));
    assert_eq!(entry.mtime, (-2, 750_000_000));
    assert_eq!(entry.xattrs, [(b"security.capability".to_vec(), capability.to_vec())]);
    assert_eq!(data, b"abc");
}

#[test]
fn numbers_are_octal_or_binary() {
    assert_eq!(number_field(b"0000644\0"), Some(0o644));
    assert_eq!(number_field(b"   755 \0"), Some(0o755));
    assert_eq!(number_field(&[0; 8]), Some(0));
    assert_eq!(number_field(&[0x80, 0, 0, 0, 0, 0, 1, 0]), Some(256));
    assert_eq!(number_field(&[0xff; 12]), Some(-1));
    assert_eq!(number_field(b"9999999\0"), None);
    assert_eq!(number_field(&[0xbf; 12]), None);
}

#[test]
fn damaged_archives_are_refused() {
    let mut builder = Builder::new(Vec::new());
    builder.append(&header(EntryType::Regular, "x", 600), &[1; 600][..]).unwrap();
    let whole = builder.into_inner().unwrap();
    assert_eq!(entries(&whole).unwrap()[0].1.len(), 600);
    for cut in [100, 512, 700] {
        let error = entries(&whole[..cut]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
    }
    let mut damaged = whole.clone();
    damaged[3] ^= 1;
    assert!(entries(&damaged).unwrap_err().to_string().contains("checksum"));
    let unknown = header(EntryType::new(b'Q'), "x", 0);
    assert!(entries(unknown.as_bytes()).unwrap_err().to_string().contains("unknown type"));
}

#[test]
fn an_extension_header_takes_bounded_memory() {
    let bomb = header(EntryType::XHeader, "x", 1 << 40);
    assert!(entries(bomb.as_bytes()).unwrap_err().to_string().contains("too many"));
}

/// All formats that GNU tar writes, read back from what it writes.
#[test]
fn sparse_files_of_gnu_tar_are_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    let file = std::fs::File::create(&path).unwrap();
    // More parts than fit the header, so that the extended maps are read too.
    for n in 0..30u64 {
        std::os::unix::fs::FileExt::write_all_at(&file, &[b'x'; 4096], n << 20).unwrap();
    }
    file.set_len(40 << 20).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let output = Command::new("tar")
            .args(format)
            .args(["-S", "-c", "sparse"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        let (entry, data) = entries(&output.stdout).unwrap().remove(0);
        assert_eq!(entry.path, b"sparse", "{format:?}");
        assert_eq!(entry.size, 40 << 20);
        let segments = entry.sparse.unwrap();
        let first: Vec<_> = segments.iter().filter(|s| s.length > 0).map(|s| s.offset).collect();
        assert_eq!(first, (0..30u64).map(|n| n << 20).collect::<Vec<_>>(), "{format:?}");
        assert_eq!(data.iter().filter(|b| **b == b'x').count(), 30 * 4096);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4096)) {
        let _ = entries(&bytes);
    }

    #[test]
    fn a_changed_header_ends(at in 0usize..512, to in 0u8.., extra in 0usize..1024) {
        let mut bytes = header(EntryType::GNUSparse, "x", 512).as_bytes().to_vec();
        bytes[at] = to;
        let mut head = Header::from_byte_slice(&bytes).clone();
        head.set_cksum();
        let mut bytes = head.as_bytes().to_vec();
        bytes.resize(512 + extra, 7);
        let _ = entries(&bytes);
    }
}
