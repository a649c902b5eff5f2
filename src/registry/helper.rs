//! Credential helpers: programs `docker-credential-NAME` that keep secrets. A helper is given a verb
//! as its argument and reads the rest from its standard input, so that no secret is ever in a list
//! of processes.

use std::io::Write;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use wharf_model::ErrorKind;

use crate::{Credential, Error, Result};

/// What helpers say, on standard output, when they don't know a registry.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// The name in whose place the secret is a token.
const TOKEN_NAME: &str = "<token>";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default, rename = "ServerURL")]
    server_url: String,
    username: String,
    secret: String,
}

/// Returns what a helper knows of a registry.
///
/// # Errors
/// When the helper isn't there or fails.
pub(crate) fn get(helper: &str, key: &str) -> Result<Option<Credential>> {
    let (done, out) = call(helper, "get", key.as_bytes())?;
    if !done {
        let said = String::from_utf8_lossy(&out);
        if said.trim() == NOT_FOUND {
            return Ok(None);
        }
        return Err(failed(helper, "get", &said));
    }
    let entry: Entry = serde_json::from_slice(&out)
        .map_err(|_| failed(helper, "get", "its answer isn't what helpers answer"))?;
    Ok(Some(match entry.username.as_str() {
        TOKEN_NAME => Credential { identity_token: entry.secret, ..Credential::default() },
        _ => Credential::password(entry.username, entry.secret),
    }))
}

/// Gives a credential into a helper's care.
///
/// # Errors
/// When the helper isn't there or fails.
pub(crate) fn store(helper: &str, key: &str, credential: &Credential) -> Result<()> {
    let token = !credential.identity_token.is_empty();
    let entry = Entry {
        server_url: key.to_owned(),
        username: if token { TOKEN_NAME } else { &credential.username }.to_owned(),
        secret: if token { &credential.identity_token } else { &credential.password }.clone(),
    };
    let input = serde_json::to_vec(&entry)
        .map_err(|cause| Error::new(ErrorKind::Internal, format!("credentials: {cause}")))?;
    match call(helper, "store", &input)? {
        (true, _) => Ok(()),
        (false, said) => Err(failed(helper, "store", &String::from_utf8_lossy(&said))),
    }
}

/// Makes a helper forget a registry.
///
/// # Errors
/// When the helper isn't there or fails.
pub(crate) fn erase(helper: &str, key: &str) -> Result<()> {
    match call(helper, "erase", key.as_bytes())? {
        (true, _) => Ok(()),
        (false, said) => Err(failed(helper, "erase", &String::from_utf8_lossy(&said))),
    }
}

fn failed(helper: &str, verb: &str, said: &str) -> Error {
    let said = said.trim();
    // A helper that answers something else may answer a secret.
    let said = if said.is_empty() || said.contains("Secret") { "it failed" } else { said };
    Error::new(
        ErrorKind::Internal,
        format!("error {verb} credentials: docker-credential-{helper}: {said}"),
    )
}

/// Runs a helper; returns whether it succeeded, and what it wrote.
fn call(helper: &str, verb: &str, input: &[u8]) -> Result<(bool, Vec<u8>)> {
    let name = format!("docker-credential-{helper}");
    if helper.contains(['/', '\0']) {
        return Err(Error::invalid(format!("credential helper {helper:?}: not a helper's name")));
    }
    let mut child = Command::new(&name)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(|cause| {
            Error::new(
                ErrorKind::Unavailable,
                format!("error {verb} credentials: exec {name:?}: {cause}: is it in PATH?"),
            )
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that doesn't read says by its exit what it is about.
        let _ = stdin.write_all(input).and_then(|()| stdin.write_all(b"\n"));
    }
    let output = child.wait_with_output().map_err(|cause| {
        Error::new(ErrorKind::Internal, format!("error {verb} credentials: {name}: {cause}"))
    })?;
    Ok((output.status.success(), output.stdout))
}
