//! Running the user's own commands.

use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::message::ShellOutput;

/// The most of its output that is kept.
const KEPT: u64 = 1 << 18;

/// Runs a line and returns what it wrote, errors last. It is ended when nobody waits any more.
pub(super) async fn run(line: &str) -> Result<ShellOutput, String> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(line);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    if let Some(path) = path() {
        command.env("PATH", path);
    }
    let mut child = command.spawn().map_err(|cause| format!("start /bin/sh: {cause}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::join!(read(stdout), read(stderr));
    let status = child.wait().await.map_err(|cause| format!("wait for it: {cause}"))?;
    let ((mut text, cut), (more, cut_too)) = (stdout, stderr);
    if !more.is_empty() && !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend(more);
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(ShellOutput { code: status.code(), text, cut: cut || cut_too })
}

/// Returns where programs are looked for: last of all where this one is, so that `{wharf}` is found
/// though nobody has installed it.
fn path() -> Option<std::ffi::OsString> {
    let own = std::env::current_exe().ok()?.parent()?.to_owned();
    let all = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::env::split_paths(&all).chain([own])).ok()
}

/// Reads to the end, keeps the beginning, and tells whether that isn't all.
async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>) -> (Vec<u8>, bool) {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return (kept, false) };
    // Half an output is better than none.
    let _ = (&mut from).take(KEPT).read_to_end(&mut kept).await;
    let rest = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    (kept, rest.is_ok_and(|rest| rest > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_errors_and_the_end_are_told() {
        let output = run("echo out; echo err >&2; exit 3").await.unwrap();
        assert_eq!((output.code, output.text.as_str(), output.cut), (Some(3), "out\nerr\n", false));
        let output = run("head -c 300000 /dev/zero; kill -9 $$").await.unwrap();
        assert_eq!((output.code, output.text.len(), output.cut), (None, 1 << 18, true));
        let own = std::env::current_exe().unwrap();
        let name = own.file_name().unwrap().to_str().unwrap();
        let output = run(&format!("command -v {name}")).await.unwrap();
        assert_eq!(output.text.trim(), own.to_str().unwrap());
    }
}
