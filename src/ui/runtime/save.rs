//! Writing a long answer to a file, a volume's content or images: beside its place first, so that a
//! file of that name is always whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wharf_backend::{ByteStream, Error, Result};
use wharf_model::ErrorKind;

use crate::message::Msg;

/// The time between two messages about how far it is.
const TELL: Duration = Duration::from_millis(250);

/// Saves what comes and returns how many bytes that took. The file must not exist; of a failure
/// nothing is left, nor of a save that is given up.
pub(super) async fn save(
    stream: impl Future<Output = Result<ByteStream>>,
    path: &Path,
    operation: u64,
    progress: &mpsc::Sender<Msg>,
) -> Result<u64> {
    if tokio::fs::symlink_metadata(path).await.is_ok() {
        return Err(Error::new(ErrorKind::Conflict, format!("{} is there", path.display())));
    }
    let mut guard = Part { path: beside(path), is_there: true };
    let part = guard.path.clone();
    let written = write(stream, &part, operation, progress).await;
    let placed = match written {
        Ok(bytes) => match tokio::fs::hard_link(&part, path).await {
            Ok(()) => Ok(bytes),
            Err(cause) => Err(failed(path, &cause)),
        },
        Err(error) => Err(error),
    };
    // Linked or failed: its first name goes either way.
    guard.is_there = false;
    match (placed, tokio::fs::remove_file(&part).await) {
        (Ok(_), Err(cause)) => Err(failed(&part, &cause)),
        (placed, _) => placed,
    }
}

/// The file under its first name, which goes when the work is given up.
struct Part {
    path: PathBuf,
    is_there: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.is_there {
            // There is nobody left to be told.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

fn failed(path: &Path, cause: &std::io::Error) -> Error {
    let kind = match cause.kind() {
        std::io::ErrorKind::AlreadyExists => ErrorKind::Conflict,
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("write {}: {cause}", path.display()))
}

async fn write(
    stream: impl Future<Output = Result<ByteStream>>,
    part: &Path,
    operation: u64,
    progress: &mpsc::Sender<Msg>,
) -> Result<u64> {
    // What it holds may be anybody's secret.
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).await;
    let mut file = open.map_err(|cause| failed(part, &cause))?;
    let mut stream = stream.await?;
    let (mut bytes, mut told) = (0_u64, Instant::now());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        file.write_all(&chunk).await.map_err(|cause| failed(part, &cause))?;
        bytes += chunk.len() as u64;
        if told.elapsed() >= TELL {
            told = Instant::now();
            // The number alone: one that nobody has room for may be lost.
            let _ = progress.try_send(Msg::Saving { operation, bytes });
        }
    }
    file.sync_all().await.map_err(|cause| failed(part, &cause))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use wharf_backend::Backend;
    use wharf_backend::fake::Fake;

    use super::*;

    #[tokio::test]
    async fn a_volume_is_saved_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, _receiver) = mpsc::channel(8);
        let fake = Fake::demo();
        let path = folder.path().join("data.tar");
        let bytes =
            save(fake.volume_export("shop_pgdata", false), &path, 1, &sender).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
        assert!(bytes > 0);
        let error =
            save(fake.volume_export("shop_pgdata", false), &path, 1, &sender).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
        let other = folder.path().join("other.tar");
        let error =
            save(fake.volume_export("missing", false), &other, 1, &sender).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left");
    }
}
