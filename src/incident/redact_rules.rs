//! What secrets look like: a table of rules with samples. The samples are the tests.
//!
//! The shapes are documented by the services that hand the secrets out; public collections of such rules (gitleaks and
//! others) were read for coverage.

/// What a match must be besides a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing.
    None,
    /// The value is not the name of an authorization scheme (whose own value has been replaced before).
    NoScheme,
    /// `(?P<name>…)` names a secret, and the value is not code or prose.
    NamedValue,
}

/// One rule.
pub(super) struct Rule {
    /// For people who read a failing test.
    #[cfg_attr(not(test), expect(dead_code, reason = "named by the tests"))]
    pub(super) name: &'static str,
    /// The group `secret` is replaced; the whole match where there is no such group. ASCII classes only: `\b`, `\s` and `\w` of
    /// Unicode would slow the scan of other text down.
    pub(super) pattern: &'static str,
    pub(super) check: Check,
    /// Texts in which the part between `«` and `»` must be replaced (the marks are not part of the text).
    #[cfg_attr(not(test), expect(dead_code, reason = "samples are read by the tests"))]
    pub(super) hides: &'static [&'static str],
    /// Texts that must stay as they are, whatever rule may look at them.
    #[cfg_attr(not(test), expect(dead_code, reason = "samples are read by the tests"))]
    pub(super) keeps: &'static [&'static str],
}

/// All rules.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "private key",
        pattern: r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----(?:[A-Za-z0-9+/=,:. \t\r\n\\\[\]()|<>_-]*?-----END [A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----|(?:(?:[ \t\r\n]|\\[nr])+[A-Za-z0-9+/=]{20,})*)",
        check: Check::None,
        hides: &[
            "key:\n«-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nabc=\n-----END RSA PRIVATE KEY-----»\nnext",
            "{\"k\": \"«-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0B\\n-----END PRIVATE KEY-----»\\n\"}",
            "cut: «-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU»\nnext line!",
        ],
        keeps: &["-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----"],
    },
    Rule {
        name: "url with a password",
        pattern: r#"[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^ \t\r\n:/?#@"'<>]{0,128}:(?P<secret>[^ \t\r\n/?#@"'<>]{1,256})@"#,
        check: Check::None,
        hides: &["postgres://user:«hunter2»@db:5432/x", "redis://:«s3cr3t»@cache", "https://oauth2:«abc»@git.example.com/a.git"],
        keeps: &["http://host:8080/a@b", "https://example.com/x?a=b:c@d", "git@github.com:a/b.git"],
    },
    Rule {
        name: "authorization header",
        pattern: r#"(?i-u:\bauthorization)["']?[ \t]*[:=][ \t]*["']?(?i-u:(?:bearer|basic|token|digest|apikey|aws4-hmac-sha256)[ \t]+)?(?P<secret>[^ \t\r\n"'<>,;]{4,}(?:[, ]+[A-Za-z]+="?[^ \t\r\n",]+"?)*)"#,
        check: Check::NoScheme,
        hides: &["Authorization: Bearer «abc.def-123»", "{'Authorization': 'Basic «dXNlcjpwdw==»'}", "authorization: «rawvalue1234»"],
        keeps: &["Authorization failed", "the authorization: ok"],
    },
    Rule {
        name: "bearer token",
        pattern: r"(?i-u:\bbearer)[ \t]+(?P<secret>[A-Za-z0-9._~+/-]{12,}=*)",
        check: Check::None,
        hides: &["curl -H 'x: bearer «abcDEF123456789»'", "Bearer «eyabcdefgh.ijklmnop.qrstuv»"],
        keeps: &["the bearer of news", "ring bearer <secret:1>"],
    },
    Rule { name: "cookie header", pattern: r"(?i-u:\b(?:set-)?cookie):[ \t]*(?P<secret>[^ \t\r\n=;]+=[^\r\n]+)", check: Check::None,
        hides: &["Cookie: «sid=abc; b=c»\nnext", "Set-Cookie: «session=1; HttpOnly»"], keeps: &["cookie: none"] },
    Rule { name: "AWS access key id", pattern: r"(?-u:\b)(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}(?-u:\b)", check: Check::None,
        hides: &["id «AKIAIOSFODNN7EXAMPLE» used"], keeps: &["AKIAshort", "xAKIAIOSFODNN7EXAMPLEx"] },
    Rule { name: "GitHub token", pattern: r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{30,255})(?-u:\b)", check: Check::None,
        hides: &["remote: «ghp_0123456789abcdefghijABCDEFGHIJ012345»", "«github_pat_11ABCDEFG0123456789_abcdefghijklmnopqrstuvwxyz»"], keeps: &["ghp_short", "high_precision"] },
    Rule { name: "GitLab token", pattern: r"(?-u:\b)(?:glpat|gldt|glrt|glcbt|glptt|glft|glsoat|glagent)-[A-Za-z0-9_.-]{20,}", check: Check::None,
        hides: &["use «glpat-ABCdef0123456789xyz_» now"], keeps: &["glpat-short"] },
    Rule { name: "Slack token", pattern: r"(?-u:\b)xox[abeoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}", check: Check::None,
        hides: &["«xoxb-123456789012-abcdefABCDEF»", "«xapp-1-A0123456789-abcdef»"], keeps: &["xoxb-", "xylophone"] },
    Rule { name: "Slack webhook", pattern: r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9+/]{20,})", check: Check::None,
        hides: &["POST https://hooks.slack.com/services/«T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX»"], keeps: &["hooks.slack.com/services/"] },
    Rule { name: "Discord webhook", pattern: r"discord(?:app)?\.com/api/webhooks/[0-9]+/(?P<secret>[A-Za-z0-9_-]{20,})", check: Check::None,
        hides: &["https://discord.com/api/webhooks/123456789/«abcdefghijklmnopqrstuvwxyz»"], keeps: &["discord.com/api/webhooks/"] },
    Rule { name: "Telegram bot token", pattern: r"(?-u:\b)(?:bot)?(?P<secret>[0-9]{8,10}:AA[A-Za-z0-9_-]{33})", check: Check::None,
        hides: &["https://api.telegram.org/bot«123456789:AAabcdefghijklmnopqrstuvwxyz0123456»/x"], keeps: &["12:34:56", "123456789:BB"] },
    Rule { name: "OpenAI, Anthropic and the like", pattern: r"(?-u:\b)sk-(?:ant-|proj-|svcacct-|admin-|or-v1-)?[A-Za-z0-9_-]{20,}", check: Check::None,
        hides: &["key «sk-proj-abcDEF0123456789abcdef»", "«sk-ant-api03-abcDEF0123456789_abcdef»", "«sk-0123456789abcdefghijABCD»"], keeps: &["sk-learn", "task-0123456789abcdefghijABCD"] },
    Rule { name: "Hugging Face token", pattern: r"(?-u:\b)(?:hf|api_org)_[A-Za-z]{30,}(?-u:\b)", check: Check::None,
        hides: &["login «hf_abcdefghijklmnopqrstuvwxyzABCDEFGH»"], keeps: &["hf_hub_download"] },
    Rule { name: "Google API key", pattern: r"(?-u:\b)AIza[A-Za-z0-9_-]{35}", check: Check::None,
        hides: &["key=«AIzaSyA0123456789abcdefghijklmnopqrstuv»"], keeps: &["AIzawa"] },
    Rule { name: "Google OAuth token", pattern: r"(?-u:\b)(?:ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,})", check: Check::None,
        hides: &["«ya29.a0AfH6SMBabcdefghijklmn»"], keeps: &["ya29."] },
    Rule { name: "Azure shared access signature", pattern: r"[?&;]sig=(?P<secret>[A-Za-z0-9%+/=_-]{20,})", check: Check::None,
        hides: &["https://x.blob.core.windows.net/c?sv=1&sig=«abcdef%2Bghijklmnop%3Dqrstuv»&se=2"], keeps: &["&sig=short"] },
    Rule { name: "Stripe key", pattern: r"(?-u:\b)(?:(?:sk|rk|pk)_(?:live|test)_|whsec_)[A-Za-z0-9]{16,}", check: Check::None,
        hides: &["«sk_live_0123456789abcdefABCD»", "«whsec_0123456789abcdefABCD»"], keeps: &["sk_test_x", "task_live_0123456789abcdefABCD"] },
    Rule { name: "npm token", pattern: r"(?-u:\b)npm_[A-Za-z0-9]{36}(?-u:\b)", check: Check::None,
        hides: &["//registry/:x=«npm_0123456789abcdefghijABCDEFGHIJ012345»"], keeps: &["npm_config_cache", "npm_lifecycle_event"] },
    Rule { name: "PyPI token", pattern: r"(?-u:\b)pypi-[A-Za-z0-9_-]{40,}", check: Check::None,
        hides: &["«pypi-AgEIcHlwaS5vcmcCJDAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4»"], keeps: &["pypi-server"] },
    Rule { name: "other service tokens", pattern: r"(?-u:\b)(?:dop_v1_[a-f0-9]{40,}|dckr_pat_[A-Za-z0-9_-]{20,}|dapi[a-f0-9]{32}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}|lin_api_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{37}|hvs\.[A-Za-z0-9_-]{24,}|AGE-SECRET-KEY-1[A-Z0-9]{50,})", check: Check::None,
        hides: &["«dckr_pat_abcdefghijklmnopqrstuvwxyz»", "«SG.abcdefghijklmnopqrst.uvwxyzABCDEFGHIJKLMN»", "«hvs.CAESIabcdefghijklmnopqrstuvw»"], keeps: &["SG.x.y", "dapinotes"] },
    Rule { name: "JSON web token", pattern: r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", check: Check::None,
        hides: &["jwt «eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_DEF-123»"], keeps: &["eyJhbGci"] },
    Rule {
        name: "option with a value",
        pattern: r#"(?:^|[ \t\r\n"'\[,])--?(?P<name>[A-Za-z0-9_-]*(?i-u:pass|pwd|pw|secret|token|key|credential|cookie|dsn)[A-Za-z0-9_-]*)[ \t]+["']?(?P<secret>[^ \t\r\n"'<>,-][^ \t\r\n"'<>,]*)"#,
        check: Check::NamedValue,
        hides: &["run --db-password «hunter2» --verbose", "x --api-key '«abc123def»'"],
        keeps: &["run --max-tokens 4096", "run --password --verbose", "x --token-file /a/b1"],
    },
    Rule {
        name: "named value in quotes",
        pattern: r#"(?P<name>[A-Za-z0-9_.-]*(?i-u:pass|pwd|pw|secret|token|key|credential|cookie|dsn)[A-Za-z0-9_.-]*)\\?["']?\]?[ \t]*(?::=|=>|[:=])[ \t]*[bru]?(?:\\?"(?P<secret>[^"\r\n\\]*)|'(?P<secret2>[^'\r\n]*))"#,
        check: Check::NamedValue,
        hides: &[
            "{\"password\": \"«hunter2»\"}", "{'api_key': '«abc def»', 'a': 'b'}", "PASSWORD=\"«a b c»\"", "os.environ['DB_PASSWORD'] = '«pw»'",
            "{\\\"token\\\": \\\"«abc123»\\\"}", "clientSecret: '«x.y»'",
        ],
        keeps: &["eos_token='</s>'", "{\"tokens\": \"12\"}", "password: ''", "name = \"password\"", "secret = \"<secret:1>\"", "password=\"$DB_PASSWORD\"", "token: '***'"],
    },
    Rule {
        name: "named value",
        pattern: r#"(?P<name>[A-Za-z0-9_.-]*(?i-u:pass|pwd|pw|secret|token|key|credential|cookie|dsn)[A-Za-z0-9_.-]*)["']?(?P<sign>[ \t]*(?::=|=>|[:=])[ \t]*)(?P<secret>[^ \t\r\n"'`<>,;&(){}\[\]|]+)(?P<next>[(\[]?)"#,
        check: Check::NamedValue,
        hides: &[
            "DB_PASSWORD=«hunter2»", "password: «correcthorse»", "mysql -h x --password=«p4ss!w0rd» y", "https://x/y?access_token=«abc123def456»&z=1",
            "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»", "AccountName=x;AccountKey=«abc/def+123==»;Endpoint=y", "token=«0a1b2c3d»",
        ],
        keeps: &[
            "password = os.environ[\"DB_PASSWORD\"]", "token = self.tokenizer.decode(ids)", "self.api_key = api_key", "def f(password: str)", "password: Optional[str]",
            "token = None", "password=password", "SyntaxError: Unexpected token: foo", "invalid token: expected", "MAX_TOKENS=128000", "password=${DB_PASSWORD}",
            "PWD=/home/me", "loss=0.123 token=17", "password: &str", "secret=args.secret", "step: 12", "auth token: missing",
        ],
    },
];
