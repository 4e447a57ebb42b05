//! Lines on the terminal, written by a thread of its own: a terminal that does not read (Ctrl-S, a full pipe) must not stop
//! the loop.

use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::time::Duration;

/// Lines that wait for a slow terminal; what comes then is counted and not shown.
const WAITING: usize = 256;
/// How long the last lines are waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Enough to write a line, and little of the little memory that a monitor needs.
const STACK: usize = 128 * 1024;

/// The terminal. Dropping it shows what waits, as far as that takes a second at most.
pub(super) struct Terminal {
    sender: Option<SyncSender<String>>,
    over: Receiver<()>,
    dropped: u64,
}

impl Terminal {
    /// Writes to `out`. Without a thread (out of processes) nothing is shown; `sentry.log` has it all.
    pub(super) fn new(mut out: Box<dyn Write + Send>) -> Self {
        let (sender, lines) = sync_channel::<String>(WAITING);
        let (alive, over) = channel();
        let show = move || {
            let _alive = alive;
            for line in lines {
                if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
                    // Nobody reads any more.
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(show);
        Self { sender: thread.is_ok().then_some(sender), over, dropped: 0 }
    }

    /// Shows a line, given with its end. Never blocks.
    pub(super) fn show(&mut self, line: String) {
        let Some(sender) = &self.sender else { return };
        if self.dropped > 0 && sender.try_send(missing(self.dropped)).is_ok() {
            self.dropped = 0;
        }
        if let Err(TrySendError::Full(_)) = sender.try_send(line) {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        if self.dropped > 0 {
            // A queue that is still full is a terminal that still does not read.
            let _ = sender.try_send(missing(self.dropped));
        }
        drop(sender);
        match self.over.recv_timeout(PATIENCE) {
            // The thread says nothing, it ends; or it hangs in a write, and ends with this process.
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {}
        }
    }
}

fn missing(lines: u64) -> String {
    format!("sentry … {lines} lines not shown; `sentry.log` has them\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_terminal_that_does_not_read_holds_up_nobody() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut terminal = Terminal::new(Box::new(writer));
        // A pipe holds 64 KiB (pipe(7)), the queue 256 lines.
        let line = format!("{}\n", "x".repeat(4095));
        for _ in 0..1000 {
            terminal.show(line.clone());
        }
        assert!(terminal.dropped > 0);
        let read = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        while terminal.dropped > 0 {
            terminal.show("last\n".to_owned());
            std::thread::yield_now();
        }
        drop(terminal);
        let text = read.join().unwrap().unwrap();
        assert!(text.contains(" lines not shown") && text.ends_with("last\n"), "{} bytes", text.len());
    }

    #[test]
    fn the_end_does_not_wait_for_ever() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let mut terminal = Terminal::new(Box::new(writer));
        terminal.show("x".repeat(1 << 20));
        drop(terminal);
    }
}
