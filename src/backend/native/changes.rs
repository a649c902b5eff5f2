//! Folders whose changes are told, all by one inotify: the kernel gives a user 128 of them by default,
//! and as many as like may follow logs.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::watched;

/// How often a folder is looked at that the kernel doesn't watch.
const LOOK: Duration = Duration::from_millis(200);

/// What is watched, while somebody wants to know.
#[derive(Default)]
pub(super) struct Changes(Mutex<Weak<Inotify>>);

struct Inotify {
    descriptor: Arc<AsyncFd<OwnedFd>>,
    folders: Arc<Folders>,
    task: JoinHandle<()>,
}

/// Whom to tell of each watch, and how many want to know.
type Folders = Mutex<HashMap<i32, (watch::Sender<()>, usize)>>;

impl Drop for Inotify {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A folder that is watched.
pub(super) struct Watched(Option<(Arc<Inotify>, i32, watch::Receiver<()>)>);

impl Changes {
    /// Begins to watch a folder. Where the kernel refuses, it is looked at five times a second.
    pub(super) fn watch(&self, folder: &Path, what: WatchFlags) -> Watched {
        Watched(self.add(folder, what).ok())
    }

    fn add(
        &self,
        folder: &Path,
        what: WatchFlags,
    ) -> std::io::Result<(Arc<Inotify>, i32, watch::Receiver<()>)> {
        let inotify = self.inotify()?;
        let mut folders = locked(&inotify.folders);
        // Whoever watches a folder that is watched already gets the same number.
        let number = inotify::add_watch(&*inotify.descriptor, folder, what)?;
        let (sender, count) = folders.entry(number).or_insert_with(|| (watch::channel(()).0, 0));
        *count += 1;
        let receiver = sender.subscribe();
        drop(folders);
        Ok((inotify, number, receiver))
    }

    fn inotify(&self) -> std::io::Result<Arc<Inotify>> {
        let mut current = locked(&self.0);
        let alive = current.upgrade().filter(|inotify| !inotify.task.is_finished());
        if let Some(inotify) = alive {
            return Ok(inotify);
        }
        let made = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let descriptor = Arc::new(watched(made)?);
        let folders = Arc::<Folders>::default();
        let task = tokio::spawn(tell(Arc::clone(&descriptor), Arc::clone(&folders)));
        let inotify = Arc::new(Inotify { descriptor, folders, task });
        *current = Arc::downgrade(&inotify);
        Ok(inotify)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells whoever wants to know, until the kernel does no more.
async fn tell(descriptor: Arc<AsyncFd<OwnedFd>>, folders: Arc<Folders>) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    loop {
        let Ok(mut ready) = descriptor.readable().await else { return };
        let folders = locked(&folders);
        let mut reader = inotify::Reader::new(&*descriptor, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW) => {
                    folders.values().for_each(|(sender, _)| sender.send_replace(()));
                }
                Ok(event) => {
                    if let Some((sender, _)) = folders.get(&event.wd()) {
                        sender.send_replace(());
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        ready.clear_ready();
    }
}

impl Watched {
    /// Waits until something may have changed since the last call.
    pub(super) async fn change(&mut self) {
        let told = match &mut self.0 {
            Some((_, _, receiver)) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !told {
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Some((inotify, number, _)) = &self.0 else { return };
        let mut folders = locked(&inotify.folders);
        if let Some((_, count)) = folders.get_mut(number) {
            *count -= 1;
            if *count == 0 {
                folders.remove(number);
                // The kernel may have ended it already, together with the folder.
                let _ = inotify::remove_watch(&*inotify.descriptor, *number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_logs::CHANGES;

    #[tokio::test]
    async fn each_hears_of_its_own_folder() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let changes = Changes::default();
        let mut first = changes.watch(one.path(), CHANGES);
        let mut second = changes.watch(one.path(), CHANGES);
        let mut third = changes.watch(other.path(), CHANGES);
        assert!(first.0.is_some() && third.0.is_some());
        std::fs::write(one.path().join("log"), "x").unwrap();
        first.change().await;
        second.change().await;
        let nothing = tokio::time::timeout(Duration::from_millis(50), third.change());
        assert!(nothing.await.is_err());
        // Who leaves takes nothing from the others.
        drop(first);
        std::fs::write(one.path().join("log"), "y").unwrap();
        second.change().await;
        drop(second);
        std::fs::write(other.path().join("log"), "x").unwrap();
        third.change().await;
        drop(third);
        assert!(locked(&changes.0).upgrade().is_none());
        // A folder that isn't there is looked for.
        changes.watch(Path::new("/nowhere"), CHANGES).change().await;
    }
}
