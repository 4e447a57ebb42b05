//! NVIDIA's Xid errors, as the kernel's log has them.

use std::sync::LazyLock;

use regex::Regex;

/// What NVIDIA says is to be done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XidAction {
    /// `RESTART_APP`: the application has to be started again.
    RestartApplication,
    /// `RESET_GPU`: the accelerator has to be reset before anything uses it again.
    ResetGpu,
    /// `RESTART_BM`: the machine has to be restarted.
    RestartMachine,
    /// `WORKFLOW_*`: a procedure of its own decides.
    Investigate,
    /// `IGNORE`: nothing.
    Ignore,
    /// Not in the table.
    Unknown,
}

impl XidAction {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::RestartApplication => "restart the application",
            Self::ResetGpu => "reset the GPU",
            Self::RestartMachine => "restart the machine",
            Self::Investigate => "investigate",
            Self::Ignore => "ignore",
            Self::Unknown => "not known",
        }
    }
}

/// NVIDIA's immediate action for an Xid.
///
/// Source: NVIDIA's Xid catalogue (docs.nvidia.com, "XID Errors", column "Immediate Action") as of 2025-10-29.
pub fn action(number: u32) -> XidAction {
    match number {
        8 | 11 | 13 | 25 | 31 | 32 | 39..=41 | 68..=72 | 75..=77 | 80 | 94 => XidAction::RestartApplication,
        46 | 62 | 64 | 95 | 109 | 110 | 119 | 120 | 136 | 140 | 143 | 155 | 156 | 158 => XidAction::ResetGpu,
        79 => XidAction::RestartMachine,
        45 | 48 | 74 | 144..=150 => XidAction::Investigate,
        37 | 38 | 43 | 44 | 63 | 66 | 67 | 92 | 121 | 137 | 141 => XidAction::Ignore,
        _ => XidAction::Unknown,
    }
}

/// An Xid line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xid {
    /// Which.
    pub number: u32,
    /// The accelerator: `PCI:0000:3b:00`.
    pub device: String,
    /// What the driver adds, without process and channel: `GPU has fallen off the bus.`
    pub text: String,
}

// NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python, GPU has fallen off the bus.
#[expect(clippy::expect_used, reason = "a literal expression that a test compiles")]
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"NVRM: Xid \(((?:PCI:)?[0-9a-fA-F:.]+)\)[^:]*: (\d{1,6})(?:, (.*))?$").expect("a literal expression")
});

impl Xid {
    /// Reads a line of the kernel.
    pub fn parse(line: &str) -> Option<Self> {
        let found = LINE.captures(line.trim_end())?;
        let rest = found.get(3).map_or("", |rest| rest.as_str());
        let is_detail = |part: &&str| part.starts_with("pid=") || part.starts_with("name=");
        let text = rest.split(", ").skip_while(is_detail).collect::<Vec<_>>().join(", ");
        Some(Self { number: found.get(2)?.as_str().parse().ok()?, device: found.get(1)?.as_str().to_owned(), text })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_read() {
        let rows = [
            (
                "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python, GPU has fallen off the bus.",
                79,
                "PCI:0000:3b:00",
                "GPU has fallen off the bus.",
            ),
            (
                "NVRM: Xid (PCI:0000:1b:00): 31, pid='<unknown>', name=<unknown>, Ch 00000008, intr 10000000. MMU Fault",
                31,
                "PCI:0000:1b:00",
                "Ch 00000008, intr 10000000. MMU Fault",
            ),
            ("NVRM: Xid (0000:03:00): 13, 0001 00000000 000090c0", 13, "0000:03:00", "0001 00000000 000090c0"),
            (
                "[  12.5] NVRM: Xid (PCI:0000:c1:00): 94, Contained: CE User Channel (0x9).",
                94,
                "PCI:0000:c1:00",
                "Contained: CE User Channel (0x9).",
            ),
            ("NVRM: Xid (PCI:0000:c1:00): 45", 45, "PCI:0000:c1:00", ""),
        ];
        for (line, number, device, text) in rows {
            let expected = Xid { number, device: device.to_owned(), text: text.to_owned() };
            assert_eq!(Xid::parse(line), Some(expected), "{line}");
        }
        for line in ["NVRM: loading NVIDIA UNIX", "NVRM: xid (PCI:0:1): 3, x", "Xid 79 explained", ""] {
            assert_eq!(Xid::parse(line), None, "{line}");
        }
    }

    #[test]
    fn actions_follow_the_catalogue() {
        use XidAction::*;
        let rows = [
            (13, RestartApplication),
            (40, RestartApplication),
            (64, ResetGpu),
            (79, RestartMachine),
            (48, Investigate),
            (43, Ignore),
            (999, Unknown),
        ];
        for (number, expected) in rows {
            assert_eq!(action(number), expected, "{number}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(line in ".{0,200}") {
            let _ = Xid::parse(&line);
            let _ = Xid::parse(&format!("NVRM: Xid ({line}): {line}"));
        }
    }
}
