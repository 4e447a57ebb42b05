//! The common shape of a metric's expression, matched without an automaton: texts, classes and greedy repetitions of classes one
//! after the other, as in `loss[=: ]+(\S+)`.
//!
//! Each repetition takes as much as it can. When the rest then matches, this is what any engine would find first; when it does
//! not, one that can go back has to be asked.

use regex_syntax::hir::{Class, ClassBytes, Hir, HirKind, Literal, Look};

/// Such an expression.
#[derive(Debug)]
pub(super) struct Straight {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Text(Box<[u8]>),
    Class {
        has: Box<[bool; 256]>,
        least: usize,
        most: usize,
    },
    WordBoundary,
    /// The first group begins.
    Open,
    /// The first group ends.
    Close,
}

/// Where a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spans {
    pub(super) end: usize,
    /// The first group, or all of it.
    pub(super) value: (usize, usize),
}

impl Straight {
    /// `None` when the expression has another shape.
    pub(super) fn new(hir: &Hir) -> Option<Self> {
        let mut steps = Vec::new();
        add(hir, &mut steps)?;
        Some(Self { steps })
    }

    /// The match that begins at `start`. `None`: there is none without going back.
    pub(super) fn at(&self, text: &[u8], start: usize) -> Option<Spans> {
        let mut at = start;
        let mut value = (start, None);
        for step in &self.steps {
            let rest = text.get(at..)?;
            match step {
                Step::Text(literal) => {
                    rest.starts_with(literal).then_some(())?;
                    at += literal.len();
                }
                Step::Class { has, least, most } => {
                    let is_in = |byte: &&u8| has.get(usize::from(**byte)).copied().unwrap_or(false);
                    let length = rest.iter().take(*most).take_while(is_in).count();
                    (length >= *least).then_some(())?;
                    at += length;
                }
                Step::WordBoundary => {
                    let word =
                        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
                    let before = at.checked_sub(1).and_then(|before| text.get(before));
                    (word(before) != word(rest.first())).then_some(())?;
                }
                Step::Open => value.0 = at,
                Step::Close => value.1 = Some(at),
            }
        }
        Some(Spans { end: at, value: (value.0, value.1.unwrap_or(at)) })
    }
}

fn add(hir: &Hir, steps: &mut Vec<Step>) -> Option<()> {
    match hir.kind() {
        HirKind::Literal(Literal(bytes)) => steps.push(Step::Text(bytes.clone())),
        HirKind::Class(Class::Bytes(class)) => steps.push(class_step(class, 1, Some(1))),
        HirKind::Repetition(repetition) if repetition.greedy => match repetition.sub.kind() {
            HirKind::Class(Class::Bytes(class)) => steps.push(class_step(class, repetition.min, repetition.max)),
            _ => return None,
        },
        HirKind::Look(Look::WordAscii) => steps.push(Step::WordBoundary),
        HirKind::Capture(capture) if capture.index == 1 => {
            steps.push(Step::Open);
            add(&capture.sub, steps)?;
            steps.push(Step::Close);
        }
        HirKind::Capture(capture) => add(&capture.sub, steps)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| add(part, steps))?,
        HirKind::Empty
        | HirKind::Class(Class::Unicode(_))
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Alternation(_) => return None,
    }
    Some(())
}

fn class_step(class: &ClassBytes, least: u32, most: Option<u32>) -> Step {
    let mut has = Box::new([false; 256]);
    for range in class.ranges() {
        for byte in range.start()..=range.end() {
            if let Some(entry) = has.get_mut(usize::from(byte)) {
                *entry = true;
            }
        }
    }
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Step::Class { has, least: size(least), most: most.map_or(usize::MAX, size) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::confine::confined;

    #[test]
    fn the_first_way_or_none() {
        let at = |pattern: &str, text: &str| {
            let straight = Straight::new(&confined(pattern).expect("valid"))?;
            let spans = straight.at(text.as_bytes(), 0)?;
            text.get(spans.value.0..spans.value.1).map(str::to_owned)
        };
        for (pattern, text, expected) in [
            ("loss[=: ]+(\\S+)", "loss == 2.5, lr", Some("2.5,")),
            ("step (\\d{1,3})(\\d*)/", "step 12345/", Some("123")),
            ("step \\d+", "step 12/", Some("step 12")),
            ("\\bstep\\b (\\d)", "step 12/", Some("1")),
            ("loss[=: ]+(\\S+)", "loss ==\n", None),
            ("a+?(b)", "aab", None),
            ("(?:a|bc)(d)", "ad", None),
            ("^loss (\\d)", "loss 1", None),
        ] {
            assert_eq!(at(pattern, text).as_deref(), expected, "{pattern}");
        }
    }
}
