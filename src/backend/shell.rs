//! Which shell a container has, found by its files alone: nothing runs in it for that.

use wharf_model::ErrorKind;

use crate::{Backend, Result};

/// The shells, the one that is best to type in first.
const SHELLS: [&str; 4] = ["bash", "zsh", "ash", "sh"];

/// Where they are, whatever the image's PATH says.
const FOLDERS: [&str; 4] = ["/bin", "/usr/bin", "/usr/local/bin", "/sbin"];

/// Most folders of a PATH that are looked into.
const MOST: usize = 16;

/// The bits of a mode that let somebody execute a file.
const EXECUTE: u32 = 0o111;

/// Links that are followed, each to a path that is free of links but for its end.
const LINKS: usize = 8;

/// Returns the path of the container's best shell; none if it has no shell.
pub(crate) async fn find<B: Backend + ?Sized>(
    backend: &B,
    container: &str,
) -> Result<Option<String>> {
    let detail = backend.container(container).await?;
    let path = detail.config.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let mut folders: Vec<&str> = FOLDERS.to_vec();
    for folder in path.unwrap_or_default().split(':').take(MOST) {
        if folder.starts_with('/') && !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    for shell in SHELLS {
        for folder in &folders {
            let path = format!("{}/{shell}", folder.trim_end_matches('/'));
            if is_program(backend, container, &path).await? {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

async fn is_program<B: Backend + ?Sized>(backend: &B, container: &str, path: &str) -> Result<bool> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let stat = match backend.archive_stat(container, &path).await {
            Ok(stat) => stat,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
            // A file where a folder should be, or a loop of links.
            Err(error) if error.kind == ErrorKind::Invalid => return Ok(false),
            Err(error) => return Err(error),
        };
        if stat.is_symlink() && stat.link_target != path {
            path = stat.link_target;
            continue;
        }
        return Ok(!stat.is_dir() && !stat.is_symlink() && stat.mode & EXECUTE != 0);
    }
    Ok(false)
}
