//! Hides values that look like secrets.

/// What stands in for a hidden value.
pub const HIDDEN: &str = "••••••";

/// Words that, as a part of a name between separators, tell a secret.
const WORDS: [&str; 16] = [
    "password",
    "passwd",
    "pass",
    "pwd",
    "passphrase",
    "secret",
    "secrets",
    "token",
    "apikey",
    "key",
    "credential",
    "credentials",
    "auth",
    "private",
    "cookie",
    "salt",
];

/// Words that, beside one of the above, say that the value itself is harmless.
const HARMLESS: [&str; 8] = ["file", "path", "dir", "public", "id", "type", "url", "ttl"];

/// Returns whether a variable's or label's name says that its value is a secret: `DB_PASSWORD`,
/// `apiKey`, `GITHUB_TOKEN`; not `KEYBOARD`, `PASSWORD_FILE` or `PUBLIC_KEY`.
pub fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let tells = |w: &String| WORDS.contains(&w.as_str()) || w.ends_with("password");
    words.iter().any(tells) && !words.iter().any(|w| HARMLESS.contains(&w.as_str()))
}

/// Splits at separators and where a lower-case letter meets an upper-case one.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (lower && letter.is_uppercase()) {
            words.push(String::new());
        }
        lower = letter.is_lowercase();
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

/// Returns a `NAME=value` entry with its value hidden if it looks like a secret, or if the value
/// is an address with a password in it.
pub fn redact_env(entry: &str) -> String {
    match entry.split_once('=') {
        Some((name, value)) if !value.is_empty() && is_secret_name(name) => {
            format!("{name}={HIDDEN}")
        }
        Some((name, value)) => match redact_url(value) {
            Some(safe) => format!("{name}={safe}"),
            None => entry.to_owned(),
        },
        None => entry.to_owned(),
    }
}

/// `scheme://user:password@host`: hides the password.
fn redact_url(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user_info, _) = authority.rsplit_once('@')?;
    let (user, password) = user_info.split_once(':')?;
    let after = &rest[user_info.len()..];
    (!password.is_empty()).then(|| format!("{scheme}://{user}:{HIDDEN}{after}"))
}

/// Returns an inspect document with the values of secret variables and labels hidden.
#[must_use]
pub fn redact_document(mut document: serde_json::Value) -> serde_json::Value {
    if let Some(env) = document.pointer_mut("/Config/Env").and_then(|v| v.as_array_mut()) {
        for entry in env {
            if let Some(text) = entry.as_str() {
                *entry = redact_env(text).into();
            }
        }
    }
    if let Some(labels) = document.pointer_mut("/Config/Labels").and_then(|v| v.as_object_mut()) {
        for (name, value) in labels.iter_mut() {
            if is_secret_name(name) {
                *value = HIDDEN.into();
            }
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secrets() {
        for name in [
            "PASSWORD",
            "DB_PASSWORD",
            "MYSQL_ROOT_PASSWORD",
            "PGPASSWORD",
            "apiKey",
            "API_KEY",
            "GITHUB_TOKEN",
            "client-secret",
            "AWS_SECRET_ACCESS_KEY",
            "my.auth.token",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "KEYBOARD",
            "PASSWORD_FILE",
            "PUBLIC_KEY",
            "MONKEY",
            "AUTHOR",
            "AWS_ACCESS_KEY_ID",
            "TOKENIZER",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn entries_are_redacted() {
        assert_eq!(redact_env("DB_PASSWORD=a=b"), format!("DB_PASSWORD={HIDDEN}"));
        assert_eq!(redact_env("DB_PASSWORD="), "DB_PASSWORD=");
        assert_eq!(redact_env("PATH=/bin"), "PATH=/bin");
        assert_eq!(
            redact_env("DATABASE_URL=postgres://me:p@ss@db:5432/x?y"),
            format!("DATABASE_URL=postgres://me:{HIDDEN}@db:5432/x?y")
        );
        assert_eq!(redact_env("URL=http://h/a:b@c"), "URL=http://h/a:b@c");
    }

    #[test]
    fn documents_are_redacted() {
        let document = serde_json::json!({"Config": {"Env": ["A=1", "TOKEN=x"],
            "Labels": {"a": "b", "secret": "x"}}});
        let safe = redact_document(document);
        assert_eq!(safe["Config"]["Env"], serde_json::json!(["A=1", format!("TOKEN={HIDDEN}")]));
        assert_eq!(safe["Config"]["Labels"]["secret"], HIDDEN);
    }
}
