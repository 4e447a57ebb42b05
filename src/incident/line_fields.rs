//! Words, and names and values of fields, of one line of a log: prose, `key=value` pairs (logfmt), JSON and what Python prints of a
//! dictionary, also behind or between one another. A line that is cut off or broken gives what there is.

/// A word, or the value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// The field that it belongs to.
    pub(super) name: Option<&'a str>,
    /// The word; the whole of what stands between quotation marks, or behind one that is never closed.
    pub(super) value: &'a str,
    /// The field begins here. Its value may be empty.
    pub(super) begins: bool,
}

impl Token<'_> {
    /// Whether it belongs to one of these fields.
    pub(super) fn is_of(&self, names: &[&str]) -> bool {
        self.name.is_some_and(|name| names.contains(&name))
    }
}

/// What parts words. A colon does not: `train:` and `C:\a` are words.
pub(super) fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '=' | ',' | ';' | '|' | '"' | '(' | ')' | '[' | ']' | '{' | '}')
}

/// The tokens of a line.
pub(super) struct Tokens<'a> {
    rest: &'a str,
    /// The field whose value comes.
    name: Option<&'a str>,
}

impl<'a> Tokens<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        Self { rest: line, name: None }
    }

    /// Cuts the next word off, with what closes it.
    fn word(&mut self) -> &'a str {
        if let Some(quoted) = self.quoted() {
            return quoted;
        }
        let end = self.rest.find(is_separator).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// What stands between two marks of the same kind.
    fn quoted(&mut self) -> Option<&'a str> {
        let mark = self.rest.chars().next().filter(|mark| matches!(mark, '"' | '\''))?;
        let text = self.rest.get(1..)?;
        let mut escaped = false;
        let end = text.find(|c: char| {
            let ends = c == mark && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        self.rest = text.get(end + 1..)?;
        text.get(..end)
    }

    /// Whether `word`, just cut off, is the name of a field; then its `:` or `=` is cut off too.
    fn names_field(&mut self, word: &str, quoted: bool) -> bool {
        let rest = if quoted {
            self.rest.trim_start().strip_prefix(':')
        } else {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@');
            let name =
                word.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '@')) && word.chars().all(plain);
            self.rest.strip_prefix('=').filter(|rest| name && !rest.starts_with('='))
        };
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            // A value follows the `=` of its field at once; a colon may be followed by blanks.
            let name = self.name.take();
            if let Some(name) = name {
                let empty = self.rest.chars().next().is_none_or(|c| is_separator(c) && c != '"');
                if empty {
                    return Some(Token { name: Some(name), value: "", begins: true });
                }
            } else {
                self.rest = self.rest.trim_start_matches(|c: char| is_separator(c) && c != '"');
            }
            let quoted = self.rest.starts_with(['"', '\'']);
            let before = self.rest.len();
            let word = self.word();
            // A mark without its fellow, or the end.
            if self.rest.len() == before {
                let rest = self.rest.strip_prefix('"')?;
                self.rest = rest;
                if name.is_some() {
                    self.rest = "";
                    return Some(Token { name, value: rest, begins: true });
                }
                continue;
            }
            if name.is_none() && self.names_field(word, quoted) {
                if quoted {
                    self.rest = self.rest.trim_start();
                }
                self.name = Some(word);
                continue;
            }
            return Some(Token { name, value: word, begins: name.is_some() });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(line: &str) -> Vec<String> {
        let tell = |token: Token<'_>| token.name.map_or_else(String::new, |name| format!("{name}=")) + token.value;
        Tokens::of(line).map(tell).collect()
    }

    #[test]
    fn words_and_fields() {
        let rows: [(&str, &[&str]); 14] = [
            ("INFO train: step 17", &["INFO", "train:", "step", "17"]),
            ("a=1 b=\"x y\" c= d", &["a=1", "b=x y", "c=", "d"]),
            ("{\"a\": \"x \\\"y\\\" z\", \"b\":2}", &["a=x \\\"y\\\" z", "b=2"]),
            ("{\"fields\":{\"message\":\"hi you\"}}", &["fields=", "message=hi you"]),
            ("{'loss': 2.31, 'epoch': 1}", &["loss=2.31", "epoch=1"]),
            ("x {\"a\": [1, 2]} y", &["x", "a=", "1", "2", "y"]),
            ("it isn't so", &["it", "isn't", "so"]),
            ("'tis so", &["'tis", "so"]),
            ("opened \"a b\" in 3 s", &["opened", "a b", "in", "3", "s"]),
            ("cut {\"msg\": \"off he", &["cut", "msg=off he"]),
            ("a == b, 3=c, --x=1", &["a", "b", "3", "c", "--x", "1"]),
            ("Foo(bar=1, é=ü)", &["Foo", "bar=1", "é=ü"]),
            ("\"", &[]),
            ("", &[]),
        ];
        for (line, expected) in rows {
            assert_eq!(told(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_ends(line in "[a-c =:,\"'\\\\{}é\\[]{0,40}") {
            let tokens = Tokens::of(&line).count();
            prop_assert!(tokens <= line.chars().count() + 1);
        }
    }
}
