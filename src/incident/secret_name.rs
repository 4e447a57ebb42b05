//! Whether a name (of a variable, a key, an option) announces a secret.

/// Words that make a name secret.
const SECRET: [&str; 13] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "secrets",
    "token",
    "apikey",
    "credential",
    "credentials",
    "cookie",
    "dsn",
];
/// Words that make a following `key` secret.
const KEYS: [&str; 13] = [
    "api",
    "access",
    "private",
    "secret",
    "account",
    "signing",
    "encryption",
    "storage",
    "service",
    "auth",
    "master",
    "session",
    "ssh",
];
/// Words at the end that say: this is about a secret and not one itself.
const HARMLESS_END: [&str; 26] = [
    "file", "path", "dir", "url", "uri", "endpoint", "name", "id", "ids", "type", "count", "counts", "len", "length",
    "size", "limit", "ttl", "expiry", "expires", "budget", "policy", "index", "usage", "sock", "pid", "sec",
];
/// Words that make a token one of text, not of access.
const TEXT_TOKEN: [&str; 20] = [
    "bos",
    "eos",
    "pad",
    "unk",
    "mask",
    "sep",
    "cls",
    "max",
    "min",
    "num",
    "n",
    "per",
    "special",
    "stop",
    "next",
    "last",
    "first",
    "start",
    "end",
    "unexpected",
];

/// How sure a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// It has nothing to do with secrets.
    None,
    /// Whatever it holds is probably a secret (`token`, `api_key`, `cookie`).
    Likely,
    /// Whatever it holds is a secret (`password`).
    Sure,
}

/// Judges a name by its words: `DB_PASSWORD`, `apiKey` and `client-secret` are secret; `MAX_TOKENS`, `eos_token`,
/// `TOKENIZERS_PARALLELISM` and `password_file` are not.
pub(super) fn secrecy(name: &str) -> Secrecy {
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if words.last().is_none_or(|last| HARMLESS_END.contains(&last.as_str())) {
        return Secrecy::None;
    }
    if has(&["password", "passwd", "pwd", "passphrase", "passcode", "secret", "secrets"])
        || (words.len() > 1 && words.last().is_some_and(|last| matches!(last.as_str(), "pass" | "pw")))
    {
        // The shell's own `PWD` and `OLDPWD`.
        return if name == "PWD" || name == "OLDPWD" { Secrecy::None } else { Secrecy::Sure };
    }
    let key =
        words.windows(2).any(|pair| matches!(pair, [first, key] if key == "key" && KEYS.contains(&first.as_str())));
    if key {
        return Secrecy::Likely;
    }
    if has(&SECRET) && !has(&TEXT_TOKEN) { Secrecy::Likely } else { Secrecy::None }
}

/// Words of a name, in lower case: split at everything but letters and digits, and before a capital after a small letter.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous = ' ';
    for char in name.chars() {
        if char.is_ascii_alphanumeric() {
            let begins =
                !previous.is_ascii_alphanumeric() || (char.is_ascii_uppercase() && previous.is_ascii_lowercase());
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(char.to_ascii_lowercase());
            }
        }
        previous = char;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        #[rustfmt::skip]
        let rows = [
            (Secrecy::Sure, "password DB_PASSWORD dbPassword client_secret AWS_SECRET_ACCESS_KEY MYSQL_PWD SMTP_PASS JWT_SECRET"),
            (Secrecy::Likely, "token GITHUB_TOKEN apiKey API_KEY api-key x-api-key AccountKey OPENAI_API_KEY private_key authToken HF_TOKEN SENTRY_DSN cookie"),
            (Secrecy::None, "PATH PWD OLDPWD MAX_TOKENS max_token eos_token pad_token TOKENIZERS_PARALLELISM password_file token_type SSH_AUTH_SOCK secret_name key keyboard monkey author tokens Authorization AWS_ACCESS_KEY_ID bypass compass pass TOKEN_COUNT"),
        ];
        for (expected, names) in rows {
            for name in names.split(' ') {
                assert_eq!(secrecy(name), expected, "{name}");
            }
        }
    }
}
