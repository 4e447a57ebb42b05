//! What each stack prints when it fails without a stack trace. Every expression is a text that a healthy run does not print.

use super::finder::Finder;
use super::proposal::ExtraDetector;

/// Stack as in [`super::Proposal::stacks`], and what is looked for there.
const OF_STACK: [(&str, ExtraDetector); 7] = [
    (
        "Python",
        ExtraDetector {
            name: "worker_killed",
            regex: r"BrokenProcessPool|DataLoader worker \(pid\(?s?\)? [\d, ]+\) (?:exited unexpectedly|is killed by signal)|Worker \(pid:\d+\) was sent SIGKILL|WorkerLostError",
            severity: "error",
            why: "A worker process that was killed, usually for its memory (multiprocessing, PyTorch, gunicorn, Celery).",
        },
    ),
    ("Node", NODE),
    ("TypeScript", NODE),
    (
        "Go",
        ExtraDetector {
            name: "go_fatal",
            regex: r"^fatal error: (?:all goroutines are asleep|concurrent map|stack overflow|runtime: out of memory)|^WARNING: DATA RACE",
            severity: "error",
            why: "What the Go runtime cannot recover from, and what its race detector finds.",
        },
    ),
    (
        "Rust",
        ExtraDetector {
            name: "rust_abort",
            regex: r"has overflowed its stack|memory allocation of \d+ bytes failed|thread caused non-unwinding panic",
            severity: "error",
            why: "Ends that are no panic and leave no trace.",
        },
    ),
    ("Java (Maven)", JAVA),
    ("Java (Gradle)", JAVA),
];

const NODE: ExtraDetector = ExtraDetector {
    name: "node_fatal",
    regex: r"UnhandledPromiseRejection|ERR_UNHANDLED_REJECTION|FATAL ERROR: .*[Aa]llocation failed|EADDRINUSE|EMFILE: too many open files",
    severity: "error",
    why: "A rejected promise nobody waited for, a full heap, a port or a file that cannot be had.",
};

const JAVA: ExtraDetector = ExtraDetector {
    name: "jvm_fatal",
    regex: r"A fatal error has been detected by the Java Runtime Environment|GC overhead limit exceeded|APPLICATION FAILED TO START|Could not find or load main class",
    severity: "error",
    why: "A crash of the JVM itself, and applications that do not come up.",
};

const SLURM: ExtraDetector = ExtraDetector {
    name: "slurm_ended",
    regex: r"slurmstepd: error:|CANCELLED AT .* DUE TO|srun: error: .*(?:Killed|Out Of Memory|Node failure)",
    severity: "error",
    why: "SLURM takes the machine away: time limit, memory limit, preemption, a node that failed.",
};

impl Finder<'_> {
    /// Detectors of the stacks found so far.
    pub(super) fn patterns(&mut self) {
        let found = &self.proposal.stacks;
        let of_stacks = OF_STACK.into_iter().filter(|(stack, _)| found.contains(stack)).map(|(_, detector)| detector);
        let slurm = found.contains(&"SLURM").then_some(SLURM);
        let wanted: Vec<ExtraDetector> = of_stacks.chain(slurm).collect();
        for detector in wanted {
            if !self.proposal.detectors.contains(&detector) {
                self.proposal.detectors.push(detector);
            }
        }
    }
}
