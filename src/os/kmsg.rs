//! The kernel's log, `/dev/kmsg` (the kernel's `Documentation/ABI/testing/dev-kmsg`): one record per read.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

/// Most records read at once; more than the kernel keeps by default.
const MAX_RECORDS: usize = 200_000;
/// Longest record: `LOG_LINE_MAX` with its escapes and its dictionary stays below (`kernel/printk/printk.c`).
const MAX_RECORD: usize = 8192;

/// Records that were there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Sequence number that comes next.
    pub next: u64,
    /// Messages from the asked number on, oldest first.
    pub messages: Vec<String>,
}

/// Reads what is there now, without waiting; of the messages those from sequence number `from` on that are `wanted`.
///
/// # Errors
/// `EACCES` and `EPERM` for most users (`kernel.dmesg_restrict`), `ENOENT` in most containers.
pub fn read(from: u64, wanted: impl Fn(&str) -> bool) -> io::Result<Records> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut log = OpenOptions::new().read(true).custom_flags(nonblocking).open("/dev/kmsg")?;
    let mut records = Records { next: from, messages: Vec::new() };
    let mut buffer = [0; MAX_RECORD];
    for _ in 0..MAX_RECORDS {
        let count = match log.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // The record was overwritten meanwhile (EPIPE): the next read goes on with the oldest that is there.
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::BrokenPipe) => continue,
            // A record that is longer than the buffer is passed over (EINVAL).
            Err(error) if error.kind() == ErrorKind::InvalidInput => continue,
            Err(error) => return Err(error),
        };
        let Some(record) = Record::parse(buffer.get(..count).unwrap_or_default()) else { continue };
        if record.number >= from {
            records.next = records.next.max(record.number.saturating_add(1));
            if record.by_kernel && wanted(&record.message) {
                records.messages.push(record.message);
            }
        }
    }
    Ok(records)
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    number: u64,
    /// Facility 0: what programs write here has another one, whatever they ask for (`devkmsg_write`).
    by_kernel: bool,
    message: String,
}

impl Record {
    /// `6,339,5140900,-;message\n KEY=value\n`: facility and priority, number, time, flags.
    fn parse(record: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(record);
        let (head, message) = text.split_once(';')?;
        let mut fields = head.split(',');
        let by_kernel = fields.next()?.parse::<u32>().ok()? < 8;
        let number = fields.next()?.parse().ok()?;
        Some(Self { number, by_kernel, message: message.lines().next().unwrap_or_default().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_are_read() {
        type Row<'a> = (&'a [u8], Option<(u64, bool, &'a str)>);
        let rows: [Row<'_>; 6] = [
            (
                b"6,339,514,-;NET: Registered protocol family 10\n",
                Some((339, true, "NET: Registered protocol family 10")),
            ),
            (
                b"30,340,569,-;udevd[80]: starting; version 181\n",
                Some((340, false, "udevd[80]: starting; version 181")),
            ),
            (b"3,9,1,c,caller=T1;a\n SUBSYSTEM=pci\n DEVICE=+pci:0\n", Some((9, true, "a"))),
            (b"6,x,1,-;a", None),
            (b"x,6,1,-;a", None),
            (b"", None),
        ];
        for (record, expected) in rows {
            let expected =
                expected.map(|(number, by_kernel, message)| Record { number, by_kernel, message: message.to_owned() });
            assert_eq!(Record::parse(record), expected);
        }
    }

    #[test]
    fn reads_on_from_where_it_was_or_says_why_not() {
        match read(0, |_| true) {
            Ok(first) => assert!(read(first.next, |_| true).unwrap().next >= first.next),
            Err(error) => assert!(error.raw_os_error().is_some(), "{error}"),
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::parse(&bytes);
        }
    }
}
