//! Errors of PowerShell scripts, in the layout of 5.1 (`At C:\x.ps1:12 char:5`) and in the concise one of 7 (`Line |`).

use std::sync::LazyLock;

use regex::Regex;

use super::lex::{begins_record, frame, group, line_number, pattern};
use super::{Next, OpenTrace, Reading, TextLine};
use crate::detect::{Language, Trace, TraceFrame};

/// Starters for the lines at which [`Report::open`] is asked.
pub(super) const STARTERS: &[&str] = &[r":[0-9]+ char:[0-9]+", r"^Line \|$"];

/// Most lines that a message of the old layout is wrapped over.
const WRAPPED_LINES: usize = 6;

/// A report that is being read.
pub(super) struct Report {
    first_line: u64,
    exception: Option<String>,
    message: Vec<String>,
    frames: Vec<TraceFrame>,
    concise: bool,
}

impl Report {
    pub(super) fn open(before: &[TextLine], line: &TextLine) -> Option<Self> {
        let text = line.text.trim_end();
        if text == "Line |" { Self::concise(before) } else { Self::classic(before, text) }
    }

    /// `Get-Item: /x.ps1:3` above `Line |`.
    fn concise(before: &[TextLine]) -> Option<Self> {
        static HEAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([\w.-]+): (.+?\.psm?1):(\d+)(?::\d+)?$"));
        let head = before.last()?;
        let c = HEAD.captures(head.text.trim_end())?;
        let name = group(&c, 1);
        let exception = (name.ends_with("Exception") || name.ends_with("Error")).then(|| name.to_owned());
        let place = frame(Language::Shell, Some(group(&c, 2)), line_number(group(&c, 3)), None);
        Some(Self { first_line: head.number, exception, message: Vec::new(), frames: vec![place], concise: true })
    }

    /// `At C:\x.ps1:12 char:5` below the message.
    fn classic(before: &[TextLine], text: &str) -> Option<Self> {
        static PLACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^At (.+):(\d+) char:\d+$"));
        static COMMAND: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([\w.\\/:-]+) : (.*)$"));
        let c = PLACE.captures(text)?;
        let place = frame(Language::Shell, Some(group(&c, 1)), line_number(group(&c, 2)), None);
        let last = before.last().filter(|above| !above.text.trim().is_empty())?;
        let near = before.iter().rev().take(WRAPPED_LINES).take_while(|above| !above.text.trim().is_empty());
        let head =
            near.clone().find(|above| COMMAND.is_match(&above.text) && !begins_record(&above.text)).unwrap_or(last);
        let mut message: Vec<String> =
            before.iter().filter(|line| line.number >= head.number).map(|line| line.text.trim().to_owned()).collect();
        if let Some(first) = message.first_mut()
            && let Some(c) = COMMAND.captures(&first.clone())
        {
            *first = group(&c, 2).to_owned();
        }
        Some(Self { first_line: head.number, exception: None, message, frames: vec![place], concise: false })
    }

    fn classic_line(&mut self, text: &str) -> Next {
        static CATEGORY: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ +\+ CategoryInfo .*\], (\w+)$"));
        if let Some(c) = CATEGORY.captures(text) {
            self.exception = Some(group(&c, 1).to_owned());
        }
        // Long values are wrapped; their lines go on at the column of the value or at the fourth.
        let own = text.starts_with('+') || text.starts_with("    ");
        if own { Next::Take } else { Next::End }
    }

    fn concise_line(&mut self, text: &str) -> Next {
        static BAR: LazyLock<Regex> = LazyLock::new(|| pattern(r"^ *(\d*) \|(.*)$"));
        let Some(c) = BAR.captures(text) else { return Next::End };
        let rest = group(&c, 2).trim();
        if group(&c, 1).is_empty() && !rest.is_empty() && !rest.chars().all(|c| c == '~') {
            self.message.push(rest.to_owned());
        }
        Next::Take
    }
}

impl OpenTrace for Report {
    fn push(&mut self, line: &TextLine) -> Next {
        let text = line.text.trim_end();
        if self.concise { self.concise_line(text) } else { self.classic_line(text) }
    }

    fn finish(self: Box<Self>) -> Option<Reading> {
        let in_app_top = self.frames.iter().position(|frame| frame.in_app);
        let trace = Trace {
            language: Language::Shell,
            exception: self.exception,
            message: self.message.join("\n"),
            frames: self.frames,
            in_app_top,
            cause_chain: Vec::new(),
            text: String::new(),
            cut: false,
        };
        Some(Reading { trace, first_line: self.first_line, last_line: None })
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{read_all, summary};
    use super::super::shell::Shell;

    #[test]
    fn both_layouts_are_read() {
        for (name, log, expected) in [
            (
                "5.1, wrapped",
                "go\nGet-Item : Cannot find path 'C:\\data\\x' because it does not\nexist.\nAt C:\\jobs\\x.ps1:12 char:5\n+     Get-Item x\n+     ~~~~~~~~~~\n    + CategoryInfo          : ObjectNotFound: (C:\\data\\x:String) [Get-Item], ItemNotFoundException\n    + FullyQualifiedErrorId : PathNotFound,Microsoft.PowerShell.Commands.GetItemCommand\n \nbye",
                "2-8 shell ItemNotFoundException \"Cannot find path 'C:\\\\data\\\\x' because it does not\\nexist.\" [C:\\jobs\\x.ps1:12 -] top 0 causes []",
            ),
            (
                "7, concise",
                "go\nException: /jobs/x.ps1:3\nLine |\n   3 |  throw 'no input'\n     |  ~~~~~~~~~~~~~~~~\n     | no input\nbye",
                "2-6 shell Exception \"no input\" [/jobs/x.ps1:3 -] top 0 causes []",
            ),
            ("a table with a column of that name", "Name\nLine |\n   3 | x", ""),
        ] {
            assert_eq!(summary(&read_all(&Shell, log)), expected, "{name}");
        }
    }
}
