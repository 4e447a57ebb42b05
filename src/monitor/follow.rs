//! `--follow`: the child's output on the terminal. A thread of its own, so that a terminal that does not read (Ctrl-S, a
//! full pipe) holds up nobody but itself.
#![expect(clippy::disallowed_methods, reason = "reads the child's log a second time, for the terminal")]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// How long the rest of the output is waited for when the monitor leaves.
const PATIENCE: Duration = Duration::from_secs(1);

/// The thread.
pub(super) struct Follower {
    sender: Sender<Order>,
    /// An order to look waits: a second one would say nothing new.
    look: Arc<AtomicBool>,
    over: Receiver<()>,
}

enum Order {
    Follow(PathBuf, u64),
    Look,
}

impl Follower {
    /// Shows on `out`.
    ///
    /// # Errors
    /// When no thread can be made.
    pub(super) fn new(out: Box<dyn Write + Send>) -> io::Result<Self> {
        let (sender, receiver) = channel();
        let (alive, over) = channel();
        let look = Arc::new(AtomicBool::new(false));
        let looks = Arc::clone(&look);
        std::thread::Builder::new().spawn(move || {
            let _alive: Sender<()> = alive;
            show(out, &receiver, &looks);
        })?;
        Ok(Self { sender, look, over })
    }

    /// Goes on with another log.
    pub(super) fn follow(&self, path: PathBuf, from: u64) {
        // A thread that has ended (nobody reads) needs no orders.
        let _ = self.sender.send(Order::Follow(path, from));
    }

    /// There may be more.
    pub(super) fn look(&self) {
        if !self.look.swap(true, Ordering::AcqRel) {
            let _ = self.sender.send(Order::Look);
        }
    }

    /// Shows the rest and ends; a terminal that does not read is not waited for.
    pub(super) fn end(self) {
        drop(self.sender);
        // The thread says nothing, it ends; or it hangs in a write, and ends with this process.
        let _ = self.over.recv_timeout(PATIENCE);
    }
}

/// Ends when the orders do, or when nobody reads any more.
fn show(mut out: Box<dyn Write + Send>, orders: &Receiver<Order>, look: &AtomicBool) {
    let mut current: Option<File> = None;
    while let Ok(order) = orders.recv() {
        // Before the log is read: what is written from here on is worth another order.
        look.store(false, Ordering::Release);
        // Orders that came while the terminal was slow are one.
        let mut opens = Vec::new();
        for order in std::iter::once(order).chain(orders.try_iter()) {
            if let Order::Follow(path, from) = order {
                opens.push((path, from));
            }
        }
        let mut shown = copy_rest(&mut current, &mut out);
        for (path, from) in opens {
            current = File::open(path).and_then(|mut file| file.seek(SeekFrom::Start(from)).map(|_| file)).ok();
            shown = shown.and_then(|()| copy_rest(&mut current, &mut out));
        }
        if shown.is_err() {
            return;
        }
    }
    // Nobody is left to tell when this last part cannot be shown.
    let _ = copy_rest(&mut current, &mut out);
}

fn copy_rest(file: &mut Option<File>, out: &mut Box<dyn Write + Send>) -> io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let mut buffer = [0; 64 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return out.flush();
        }
        out.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "writes the log that is followed")]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_shown_and_a_reader_that_does_not_read_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "x".repeat(1 << 20)).unwrap();
        for (name, reads) in [("reads", true), ("does not", false)] {
            let (mut reader, writer) = io::pipe().unwrap();
            let follower = Follower::new(Box::new(writer)).unwrap();
            follower.follow(log.clone(), 1);
            for _ in 0..100_000 {
                follower.look();
            }
            let read = std::thread::spawn(move || {
                let mut text = Vec::new();
                if reads { reader.read_to_end(&mut text).map(|_| text) } else { Ok(std::thread::park()).map(|()| text) }
            });
            follower.end();
            if reads {
                assert_eq!(read.join().unwrap().unwrap().len(), (1 << 20) - 1, "{name}");
            }
        }
    }
}
