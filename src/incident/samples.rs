//! Values for the tests of this room.

use std::collections::BTreeMap;

use crate::detect::ending::{Ending, Exit, OutOfMemory};
use crate::detect::{Detection, DetectorKind, Language, Severity, Trace, TraceFrame};
use crate::ids::{DetectorName, StreamId};

pub(super) fn detection(kind: DetectorKind, detector: &str, message: &str) -> Detection {
    Detection {
        detector: DetectorName::new(detector),
        kind,
        severity: Severity::Error,
        stream: StreamId::new("child-002"),
        bytes: 0..0,
        lines: (0, 0),
        message: message.to_owned(),
        captures: BTreeMap::new(),
        trace: None,
        class: None,
    }
}

pub(super) fn at(mut detection: Detection, first: u64, last: u64) -> Detection {
    detection.lines = (first, last);
    detection.bytes = first * 100..last * 100 + 100;
    detection
}

pub(super) fn frame(file: &str, line: u32, function: &str, in_app: bool) -> TraceFrame {
    TraceFrame { file: Some(file.to_owned()), line: Some(line), function: Some(function.to_owned()), in_app }
}

pub(super) fn trace(language: Language, exception: &str, message: &str, frames: Vec<TraceFrame>) -> Trace {
    let in_app = |frame: &TraceFrame| frame.in_app;
    let in_app_top = match language {
        Language::Python => frames.iter().rposition(in_app),
        _ => frames.iter().position(in_app),
    };
    Trace {
        language,
        exception: Some(exception.to_owned()),
        message: message.to_owned(),
        frames,
        in_app_top,
        cause_chain: Vec::new(),
        text: String::new(),
        cut: false,
    }
}

pub(super) fn exited(code: i32) -> Exit {
    ended(Ending::Exited { code })
}

pub(super) fn ended(ending: Ending) -> Exit {
    Exit { ending, oom: OutOfMemory::NoSign, leftovers: 0, stop_requested: false, killed: false }
}
