//! Log text in Markdown, on a terminal, in file names: hostile, so nothing of it may take effect.

use std::borrow::Cow;

/// Longest one-line field, in characters.
const MAX_FIELD: usize = 300;
/// Longest line inside a fence, in characters.
const MAX_LINE: usize = 1000;

/// Makes control characters, invisible characters and those that reorder text (Unicode bidi controls) visible as `\x1b` or
/// `\u{202e}`. Line feeds and tabs stay; a carriage return in front of a line feed goes.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\r' if chars.peek() == Some(&'\n') => {}
            _ if is_hidden(char) => out.push_str(&escaped(char)),
            _ => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// The text on one line: [`visible`], line feeds and tabs too, at most 300 characters.
pub fn one_line(text: &str) -> String {
    let mut out = String::new();
    for (at, char) in text.trim().chars().enumerate() {
        if at == MAX_FIELD {
            out.push('…');
            break;
        }
        match char {
            '\n' => out.push_str("\\n"),
            '\t' => out.push(' '),
            _ if is_hidden(char) => out.push_str(&escaped(char)),
            _ => out.push(char),
        }
    }
    out
}

/// A Markdown code span: nothing inside is markup, and bare addresses do not become links. One line.
pub fn code(text: &str) -> String {
    let text = one_line(text);
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// [`code`] for a cell of a Markdown table, where a bar ends the cell even inside a code span.
pub fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// A sentence of ours that may quote the log: on one line, all markup escaped, no links.
pub fn prose(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len() + 8);
    let mut previous = ' ';
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        match char {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(char);
            }
            '_' if !(previous.is_alphanumeric() && next.is_alphanumeric()) => out.push_str("\\_"),
            ':' if next == '/' => out.push_str("\\:"),
            '.' if previous.eq_ignore_ascii_case(&'w') => out.push_str("\\."),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            _ => out.push(char),
        }
        previous = char;
    }
    out
}

/// A fenced block that no backticks inside can end. `language` is one of ours, never from the log.
pub fn fence(language: &str, text: &str) -> String {
    let text = visible(text);
    let fence = "`".repeat(longest_run(&text).max(2) + 1);
    let mut out = format!("{fence}{language}\n");
    for line in text.lines() {
        match line.char_indices().nth(MAX_LINE) {
            Some((end, _)) => {
                out.push_str(line.get(..end).unwrap_or(line));
                out.push('…');
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out.push_str(&fence);
    out.push('\n');
    out
}

/// A file name made of a path or a name: its last part, ASCII letters, digits, `.`, `_` and `-` only, never hidden, at
/// most 60 bytes, never empty (`unnamed`).
pub fn safe_name(name: &str) -> String {
    let base = name.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default();
    let mut safe = String::new();
    for char in base.chars() {
        let allowed = char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
        if allowed {
            safe.push(char);
        } else if !safe.ends_with('-') {
            safe.push('-');
        }
    }
    let safe = safe.trim_matches(['.', '-']);
    // The end tells more about a file than its beginning does.
    let safe = safe.get(safe.len().saturating_sub(60)..).unwrap_or(safe).trim_start_matches(['.', '-']);
    if safe.is_empty() { "unnamed".to_owned() } else { safe.to_owned() }
}

fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or(0)
}

/// Control characters (C0 but for tab and line feed, DEL, C1), format characters that hide or reorder text, line and
/// paragraph separators, tags.
fn is_hidden(char: char) -> bool {
    (char.is_control() && !matches!(char, '\n' | '\t'))
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escaped(char: char) -> String {
    let number = u32::from(char);
    if number < 0x80 { format!("\\x{number:02x}") } else { format!("\\u{{{number:x}}}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser};

    use super::*;

    #[test]
    fn names() {
        #[rustfmt::skip]
        let rows = [
            ("plain", "config.py", "config.py"), ("path", "/a/b/config.py", "config.py"), ("up", "../../etc/passwd", "passwd"),
            ("dots", "..", "unnamed"), ("hidden", ".env", "env"), ("nothing", "", "unnamed"), ("slash", "a/", "a"),
            ("windows", "C:\\x\\y z.py", "y-z.py"), ("other scripts", "naïve файл.py", "na-ve-.py"), ("option", "-rf", "rf"),
            ("angle", "<frozen importlib>", "frozen-importlib"), ("control", "a\x1b[31m\n.py", "a-31m-.py"),
        ];
        for (name, given, expected) in rows {
            assert_eq!(safe_name(given), expected, "{name}");
        }
        assert_eq!(safe_name(&"x".repeat(300)).len(), 60);
    }

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(visible("a\x1b[31m\u{202e}b\0\r\n\tc"), "a\\x1b[31m\\u{202e}b\\x00\n\tc");
        assert_eq!(one_line(" a\nb\tc\u{9b} "), "a\\nb c\\u{9b}");
        assert_eq!(code("a``b`"), "``` a``b` ```");
        assert_eq!(
            prose("see ![x](http://e/) a_b _c_ me@x.y www.z.y"),
            "see \\!\\[x\\](http\\://e/) a_b \\_c\\_ me&#64;x.y www\\.z.y"
        );
    }

    proptest! {
        #[test]
        fn nothing_takes_effect(text in "([a-z `~*_<>|\\[\\]()!#&\\\\\n\r\t:/.@-]|```|http://x|www\\.x|<img src=x>|!\\[a\\]\\(b\\)|\u{202e}|\u{1b}){0,40}") {
            let page = format!("# {}\n\n| a |\n|---|\n| {} |\n\nSaid: {} end\n\n{}", code(&text), code_cell(&text), prose(&text), fence("text", &text));
            for event in Parser::new_ext(&page, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
                use pulldown_cmark::Tag::*;
                match event {
                    Event::Html(_) | Event::InlineHtml(_) => prop_assert!(false, "html: {page}"),
                    Event::Start(Heading { .. } | Paragraph | CodeBlock(_) | Table(_) | TableHead | TableRow | TableCell) => {}
                    Event::Start(tag) => prop_assert!(false, "{tag:?}: {page}"),
                    _ => {}
                }
            }
            prop_assert!(!page.contains(['\u{1b}', '\u{202e}', '\r']), "hidden characters");
        }

        #[test]
        fn names_are_safe(name in any::<String>()) {
            let safe = safe_name(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= 60 && !safe.starts_with('.') && !safe.contains('/'));
            prop_assert!(safe.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)));
        }
    }
}
