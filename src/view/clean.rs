//! Makes foreign text safe to print: log text and agent text are hostile.

/// Removes control sequences and other control characters except line ends and tabs, and characters that reorder or hide text.
///
/// Sequences as in ECMA-48: CSI (`ESC [ … final`), strings (`ESC ] P X ^ _ … ST or BEL`), two-character escapes, and their
/// one-character forms U+0080 to U+009F.
pub fn clean(text: &str) -> String {
    if text.bytes().all(|byte| matches!(byte, b'\n' | b'\t' | 0x20..=0x7e)) {
        return text.to_owned();
    }
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '\u{1b}' => match rest.next() {
                Some('[') => skip_csi(&mut rest),
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut rest),
                // ESC, intermediates, final byte: ISO 2022 designations such as `ESC ( B`.
                Some(' '..='/') => skip_while_then_one(&mut rest, |next| matches!(next, ' '..='/')),
                _ => {}
            },
            '\u{9b}' => skip_csi(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            '\r' if rest.peek() == Some(&'\n') => {}
            // A lone carriage return would let what follows overwrite what stands before.
            '\r' => cleaned.push('\n'),
            '\n' | '\t' => cleaned.push(char),
            _ if char.is_control() || is_invisible(char) => {}
            _ => cleaned.push(char),
        }
    }
    cleaned
}

/// [`clean`], with line ends and runs of white space made single spaces.
pub fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_csi(rest: &mut Chars<'_>) {
    skip_while_then_one(rest, |next| matches!(next, ' '..='?'));
}

fn skip_while_then_one(rest: &mut Chars<'_>, inside: impl Fn(char) -> bool) {
    while rest.next_if(|&next| inside(next)).is_some() {}
    rest.next_if(|&next| matches!(next, '0'..='~'));
}

/// An unterminated string ends at the line end, so that one stray escape cannot hide the rest of a report.
fn skip_string(rest: &mut Chars<'_>) {
    while let Some(next) = rest.next_if(|&next| next != '\n') {
        match next {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// Bidirectional controls, zero-width characters and tags (Unicode TR 36, "Trojan Source").
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn removes_what_terminals_obey() {
        let table = [
            ("colour", "\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("title", "\u{1b}]0;owned\u{7}text", "text"),
            ("link", "\u{1b}]8;;http://x\u{1b}\\click\u{1b}]8;;\u{1b}\\", "click"),
            ("charset", "\u{1b}(0lqk\u{1b}(B", "lqk"),
            ("c1 csi", "\u{9b}31mred", "red"),
            ("unterminated string stops at the line end", "\u{1b}]0;abc\nnext", "\nnext"),
            ("lone cr", "10%\r20%", "10%\n20%"),
            ("crlf", "a\r\nb", "a\nb"),
            ("nul and bell", "a\0b\u{7}c", "abc"),
            ("reordering", "a\u{202e}b\u{2066}c", "abc"),
            ("escape at the end", "a\u{1b}", "a"),
            ("text stays", "größe\t→ 4", "größe\t→ 4"),
        ];
        for (name, text, expected) in table {
            assert_eq!(clean(text), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn leaves_nothing_a_terminal_obeys(text in "\\PC*|[\\x00-\\x9f\\[\\]a-z0-9;]*") {
            let cleaned = clean(&text);
            prop_assert!(cleaned.chars().all(|char| !char.is_control() || char == '\n' || char == '\t'));
            prop_assert_eq!(clean(&cleaned), cleaned.clone());
        }
    }
}
