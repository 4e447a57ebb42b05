//! `--follow`: the child's output on the terminal. A thread of its own, so that a terminal that does not read (Ctrl-S, a
//! full pipe) holds up nobody but itself.
#![expect(clippy::disallowed_methods, reason = "reads the child's log a second time, for the terminal")]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// The thread.
pub(super) struct Follower {
    sender: Sender<Order>,
    thread: JoinHandle<()>,
}

enum Order {
    Follow(PathBuf, u64),
    Look,
}

impl Follower {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        let (sender, receiver) = channel();
        let thread = std::thread::spawn(move || show(out, &receiver));
        Self { sender, thread }
    }

    /// Goes on with another log.
    pub(super) fn follow(&self, path: PathBuf, from: u64) {
        // A thread that has ended (nobody reads) needs no orders.
        let _ = self.sender.send(Order::Follow(path, from));
    }

    /// There may be more.
    pub(super) fn look(&self) {
        let _ = self.sender.send(Order::Look);
    }

    /// Shows the rest and ends.
    pub(super) fn end(self) {
        drop(self.sender);
        // A panic there has been reported by the panic hook.
        let _ = self.thread.join();
    }
}

/// Ends when the orders do, or when nobody reads any more.
fn show(mut out: Box<dyn Write + Send>, orders: &Receiver<Order>) {
    let mut current: Option<File> = None;
    while let Ok(order) = orders.recv() {
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
