//! `login` and `logout`: who the user is at a registry.

use std::io::{self, BufRead, Read, Write};

use wharf_model::ErrorKind;
use wharf_registry::{Credential, Kept, Registries};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, over_registries, print_line};
use crate::session::terminal;

pub(crate) static LOGIN: Verb = Verb {
    name: "login",
    paths: &[],
    usage: "[OPTIONS] [SERVER]",
    about: "Log in to a registry",
    group: Group::Images,
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[&[
        Flag::value("password", "string", "Password or token (seen by all who list processes)")
            .short('p'),
        Flag::switch("password-stdin", "Read the password from standard input"),
        Flag::value("username", "string", "User name").short('u'),
    ]],
    missing: &[],
    run: log_in,
};

pub(crate) static LOGOUT: Verb = Verb {
    name: "logout",
    paths: &[],
    usage: "[SERVER]",
    about: "Log out from a registry",
    group: Group::Images,
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run: log_out,
};

/// The greatest password that is read.
const LONGEST: u64 = 64 << 10;

fn domain(server: &str) -> Result<&str, Failure> {
    wharf_registry::domain(server).map_err(failed)
}

fn log_in(call: &Call) -> anyhow::Result<i32> {
    let domain = domain(call.parsed.argument(0).unwrap_or_default())?;
    let parsed = &call.parsed;
    let given = |name: &str| parsed.last(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let (username, mut password) = (given("username"), given("password"));
    if password.is_some() {
        crate::notice("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        if parsed.on("password-stdin") {
            let text = "--password and --password-stdin are mutually exclusive";
            return Err(Failure::new(1, text).into());
        }
    }
    if parsed.on("password-stdin") {
        if username.is_none() {
            return Err(Failure::new(1, "Must provide --username with --password-stdin").into());
        }
        let mut text = String::new();
        io::stdin().lock().take(LONGEST).read_to_string(&mut text)?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        // An empty one is none, as with docker.
        password = Some(text).filter(|text| !text.is_empty());
    }
    over_registries(async |registries| {
        let stored = match (&username, &password) {
            (None, None) => registries.credentials().get(domain)?,
            _ => None,
        };
        if let Some(stored) = stored {
            print_line("Authenticating with existing credentials...")?;
            match registries.log_in(domain, stored).await {
                Ok(_) => return finish(),
                Err(error) if error.kind == ErrorKind::Denied => {
                    crate::notice("Login did not succeed, error: the credentials are refused");
                }
                Err(error) => return Err(failed(error).into()),
            }
        }
        let credential = ask(username, password)?;
        let kept = registries.log_in(domain, credential).await.map_err(failed)?;
        keep(registries, domain, &kept)?;
        finish()
    })
}

fn failed(error: wharf_registry::Error) -> Failure {
    Failure::new(1, error.message)
}

fn finish() -> anyhow::Result<i32> {
    print_line("Login Succeeded")?;
    Ok(0)
}

fn keep(registries: &Registries, domain: &str, credential: &Credential) -> anyhow::Result<()> {
    if let Kept::File(path) = registries.credentials().store(domain, credential)? {
        crate::notice(&format!(
            "WARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential \
             helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            path.display()
        ));
    }
    Ok(())
}

/// Returns the name and the password, asked for as far as they weren't given.
fn ask(username: Option<String>, password: Option<String>) -> anyhow::Result<Credential> {
    if let (Some(username), Some(password)) = (&username, &password) {
        return Ok(Credential::password(username, password));
    }
    if !terminal::stdin_is_terminal() {
        let text = "Cannot perform an interactive login from a non TTY device";
        return Err(Failure::new(1, text).into());
    }
    let username = match username {
        Some(username) => username,
        None => prompt("Username: ")?,
    };
    if username.is_empty() {
        return Err(Failure::new(1, "username is empty").into());
    }
    let password = match password {
        Some(password) => password,
        None => {
            let password = terminal::read_secret("Password: ")?;
            crate::notice("");
            password.ok_or_else(|| Failure::silent(130))?
        }
    };
    if password.is_empty() {
        return Err(Failure::new(1, "password is empty").into());
    }
    Ok(Credential::password(username, password))
}

fn prompt(text: &str) -> io::Result<String> {
    let mut out = io::stderr().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    drop(out);
    let mut line = String::new();
    io::stdin().lock().take(LONGEST).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

fn log_out(call: &Call) -> anyhow::Result<i32> {
    let domain = domain(call.parsed.argument(0).unwrap_or_default())?;
    over_registries(async |registries| {
        let shown = wharf_registry::key(domain);
        if registries.credentials().erase(domain)? {
            print_line(&format!("Removing login credentials for {shown}"))?;
        } else {
            print_line(&format!("Not logged in to {shown}"))?;
        }
        Ok(0)
    })
}
