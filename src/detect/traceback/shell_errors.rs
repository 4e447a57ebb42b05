//! Errors that a shell reports about a script, with file and line: bash, dash, zsh, ksh, mksh, busybox; make's and awk's own.
//!
//! What a *command* says about itself (`cp: cannot stat …`, `make: *** [all] Error 2`) is no error of the script: only the shell
//! knows the line.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::lex::{frame, group, line_number, pattern};
use crate::detect::{Language, TraceFrame};

/// Starters for the lines that [`parse`] reads. No gap between two literals: each would double the states of the automaton.
pub(super) const STARTERS: &[&str] = &[
    r": line [0-9]+: ",
    r": [0-9]+: (?:Syntax error|Bad substitution|Illegal number|Cannot fork|cannot |cd: can't|arithmetic expression|\.: cannot )",
    r": (?:not found|parameter (?:null or )?not set|Permission denied|bad number|is read only|unexpected operator|bad variable name)$",
    r":[0-9]+: (?:command not found|no such file or directory|permission denied|parse error|bad substitution|no matches found|unmatched |is a directory|read-only variable|bad math|division by zero)",
    r": \[(?:No such file or directory|Permission denied|Is a directory|Not a directory|Exec format error)\]$",
    r"(?:cannot (?:create|execute|open) )\[[A-Z][a-z ]+\]$",
    r": syntax error at line [0-9]+: ",
    r":[0-9]+: \*\*\* ",
    r"in test file ",
];

/// Reads the error, if the line is one.
pub(super) fn parse(text: &str) -> Option<(TraceFrame, String)> {
    static BASH: LazyLock<Regex> = LazyLock::new(|| pattern(r"^((?:[A-Za-z]:)?[^\s:]+?): (?:\S+: )?line (\d+): (.+)$"));
    static DASH: LazyLock<Regex> = LazyLock::new(|| pattern(r"^((?:[A-Za-z]:)?[^\s:]+): (\d+): (.+)$"));
    static ZSH: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^\s:]+?):(?:[\w.]+:)?(\d+): (.+)$"));
    static KSH: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^\s:\[]+?)\[(\d+)\]: (.+)$"));
    static KSH_SYNTAX: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^\s:]+): (syntax error) at line (\d+): (.+)$"));
    // bats: `   (in test file test/cart.bats, line 7)`, perhaps after `(from function `f' in file …,`.
    static BATS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:# )? *\(?in test file ([^,]+), line (\d+)\)()$"));
    static MAKE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^((?:[A-Za-z]:)?[^\s:]+):(\d+): \*\*\* (.+\.  Stop\.)$"));
    let text = text.trim_end();
    if let Some(c) = KSH_SYNTAX.captures(text) {
        let message = format!("{}: {}", group(&c, 2), group(&c, 4));
        return Some((place(group(&c, 1), group(&c, 3)), message));
    }
    if let Some(c) = MAKE.captures(text).or_else(|| BATS.captures(text)) {
        return Some(found(&c));
    }
    let is = |regex: &Regex, fits: fn(&str, &str) -> bool| {
        regex.captures(text).filter(|c| fits(group(c, 1), group(c, 3))).map(|c| found(&c))
    };
    is(&BASH, is_bash).or_else(|| is(&DASH, is_dash)).or_else(|| is(&KSH, is_ksh)).or_else(|| is(&ZSH, is_zsh))
}

fn found(captures: &Captures<'_>) -> (TraceFrame, String) {
    // ksh names the line of the call behind the file: `x.sh[5]: f: line 3: …`.
    let file = group(captures, 1);
    let file = file.split_once('[').filter(|(_, rest)| rest.ends_with(']')).map_or(file, |(name, _)| name);
    (place(file, group(captures, 2)), group(captures, 3).to_owned())
}

fn place(file: &str, line: &str) -> TraceFrame {
    frame(Language::Shell, Some(file), line_number(line), None)
}

/// Whether a name is a script's or a shell's, where the message alone could be another program's.
fn is_script(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    let shell = matches!(
        name,
        "sh" | "bash" | "-bash" | "dash" | "ash" | "zsh" | "ksh" | "mksh" | "busybox" | "main" | "environment" | "-c"
    );
    let script = [".sh", ".bash", ".zsh", ".ksh", ".bats", ".command", ".envrc"].iter().any(|end| name.ends_with(end));
    // Scripts in a `bin` folder and hooks have no extension.
    shell || script || (file.contains('/') && !name.contains('.'))
}

/// bash and busybox.
fn is_bash(file: &str, message: &str) -> bool {
    static SURE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r#"^(?:[Ss]yntax error|unexpected EOF while looking for|.+: (?:unbound variable|command not found|bad substitution|parameter (?:null or )?not set|ambiguous redirect|readonly variable)(?:$|:| \())"#,
        )
    });
    static LIKELY: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"(?:: (?:No such file or directory|Permission denied|Is a directory|Not a directory|not found|Exec format error|",
            r"required file not found|Argument list too long|No space left on device|Text file busy|",
            r"Resource temporarily unavailable|Cannot allocate memory|Broken pipe|integer expression expected|",
            r"(?:unary|binary) operator expected|too many arguments|numeric argument required|not a valid identifier|",
            r"bad array subscript|invalid arithmetic operator.*|value too great for base.*|invalid option.*|must be set|",
            r"cannot overwrite existing file|maximum function nesting level exceeded.*|bad number|out of range|is read only|",
            r"cannot execute.*|restricted|no closing quote|division by 0.*|nonexistent directory)$)|^(?:fork: |division by |can't |arithmetic )"
        ))
    });
    let told = message.starts_with("warning: ") || message.starts_with("note: ");
    !told && (SURE.is_match(message) || (is_script(file) && LIKELY.is_match(message)))
}

/// dash, which has no word in front of the line's number.
fn is_dash(file: &str, message: &str) -> bool {
    static SURE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^(?:Syntax error: |Bad substitution$|[^:]+: parameter not set$)"));
    static LIKELY: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"^(?:cannot (?:create|open) .+: |Illegal number: |cd: can't cd to |arithmetic expression: |Cannot fork|",
            r".+: (?:not found|Permission denied|bad number|is read only|unexpected operator|bad variable name|parameter (?:null or )?not set|",
            r"cannot open .+|Exec format error)$)"
        ))
    });
    SURE.is_match(message) || (is_script(file) && LIKELY.is_match(message))
}

/// zsh, which names the culprit last.
fn is_zsh(file: &str, message: &str) -> bool {
    static SURE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r#"^(?:command not found: \S|parse error near |parse error: |bad substitution$|unmatched ["'`]|bad math expression: |read-only variable: |division by zero$|[A-Za-z_]\w*: parameter not set$)"#,
        )
    });
    static LIKELY: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"^(?:no such file or directory: |permission denied: |no matches found: |is a directory: )")
    });
    // A compiler's `x.c:3: parse error` is another language's.
    let foreign = file
        .rsplit_once('.')
        .is_some_and(|(_, end)| !end.contains('/') && !matches!(end, "sh" | "zsh" | "zshrc" | "zsh-theme"));
    !foreign && (SURE.is_match(message) || ((is_script(file) || !file.contains('.')) && LIKELY.is_match(message)))
}

/// ksh and mksh, which put the line in brackets.
fn is_ksh(file: &str, message: &str) -> bool {
    static ERROR: LazyLock<Regex> = LazyLock::new(|| {
        pattern(concat!(
            r"^.+: (?:(?:inaccessible or )?not found|parameter not set|bad substitution|is read only|divide by zero|",
            r"(?:cannot (?:create|execute|open) |)\[(?:No such file or directory|Permission denied|Is a directory|Not a directory|Exec format error)\])$"
        ))
    });
    is_script(file) && ERROR.is_match(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_read() {
        for (text, expected) in [
            ("err.sh: line 3: nosuchcmd: command not found", "err.sh:3"),
            ("err.sh: line 6: cd: /nowhere: No such file or directory", "err.sh:6"),
            ("syn3.sh: line 1: unexpected EOF while looking for matching `\"'", "syn3.sh:1"),
            ("bad.sh: line 2: ${x!y z}: bad substitution", "bad.sh:2"),
            ("bad.sh: line 5: 1/0: division by 0 (error token is \"0\")", "bad.sh:5"),
            ("bad.sh: line 10: Y: must be set", "bad.sh:10"),
            ("/usr/local/bin/deploy: line 7: aws: command not found", "/usr/local/bin/deploy:7"),
            ("bash: line 50: sudo: command not found", "bash:50"),
            ("err.sh: 3: nosuchcmd: not found", "err.sh:3"),
            ("err.sh: 6: cd: can't cd to /nowhere", "err.sh:6"),
            ("syn1.sh: 4: Syntax error: end of file unexpected (expecting \"fi\")", "syn1.sh:4"),
            ("perm.sh: 2: cannot create /proc/nofile: Directory nonexistent", "perm.sh:2"),
            ("sh: 1: vite: not found", "sh:1"),
            ("err.sh:3: command not found: nosuchcmd", "err.sh:3"),
            ("err.sh:cd:6: no such file or directory: /nowhere", "err.sh:6"),
            ("f:1: NOPE: parameter not set", "f:1"),
            ("syn2.sh:2: parse error near `fi'", "syn2.sh:2"),
            ("err.sh[3]: nosuchcmd: not found", "err.sh:3"),
            ("err.sh[6]: cd: /nowhere: [No such file or directory]", "err.sh:6"),
            ("syn1.sh: syntax error at line 4: `then' unmatched", "syn1.sh:4"),
            ("unset.sh[5]: f: line 3: NOPE: parameter not set", "unset.sh:3"),
            ("err.sh: cd: line 6: can't cd to /nowhere: No such file or directory", "err.sh:6"),
            ("perm.sh: exec: line 5: nosuch2: not found", "perm.sh:5"),
            ("Makefile:2: *** missing separator.  Stop.", "Makefile:2"),
            ("   (in test file test/cart.bats, line 7)", "test/cart.bats:7"),
            ("# (in test file test/cart.bats, line 7)", "test/cart.bats:7"),
            // What other programs say, and what is no error.
            ("bash: foo: command not found", "none"),
            ("make: *** [Makefile:2: all] Error 1", "none"),
            ("sshd_config: line 87: Bad configuration option: X", "none"),
            ("run.sh: line 5:  4711 Killed                  ./prog", "none"),
            ("run.sh: line 5: warning: here-document at line 3 delimited by end-of-file (wanted `E')", "none"),
            ("kernel: 3: device: not found", "none"),
            ("x.c:3: parse error near `}'", "none"),
            ("worker[12]: job: not found", "none"),
            ("mawk: line 1: missing ) near }", "none"),
        ] {
            let got =
                parse(text).map_or("none".to_owned(), |(f, _)| format!("{}:{}", f.file.unwrap(), f.line.unwrap()));
            assert_eq!(got, expected, "{text}");
        }
    }
}
