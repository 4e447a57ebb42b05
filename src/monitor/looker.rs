//! Makes looks: each by a process of its own (`sentry probe`), which may hang and is killed for it.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::event::ScanReport;
use super::looks::{Look, LookId};
use crate::detect::kernel_line::KERNEL_STREAM;
use crate::detect::look::{Answer, Resources};
use crate::detect::{DetectorSet, Flush, Position, Scanner};
use crate::ids::{ChildNo, DetectorName, StreamId};
use crate::os::job::{Job, JobResult, JobSpec, JobState};
use crate::time::Mono;

/// Bytes of an answer; more is no answer of ours.
const KEEP: usize = 1024 * 1024;

/// Looks that are under way, and the scanner of the kernel's lines.
pub(super) struct Looker {
    jobs: Vec<UnderWay>,
    set: Arc<DetectorSet>,
    kernel: Option<Scanner>,
    kernel_lines: u64,
}

struct UnderWay {
    id: LookId,
    detector: DetectorName,
    child: ChildNo,
    job: Job,
}

/// A look that has ended.
pub(super) struct Looked {
    pub(super) id: LookId,
    pub(super) answer: Answer,
    /// What the detectors found in the kernel's lines.
    pub(super) report: Option<ScanReport>,
}

impl Looker {
    pub(super) fn new(set: Arc<DetectorSet>) -> Self {
        Self { jobs: Vec::new(), set, kernel: None, kernel_lines: 0 }
    }

    /// New detectors, from the next line on.
    pub(super) fn set_detectors(&mut self, set: Arc<DetectorSet>) {
        self.set = set;
        self.kernel = None;
    }

    /// Begins a look. `record` is that of its child.
    ///
    /// # Errors
    /// When no process can be started.
    pub(super) fn begin(&mut self, look: &Look, record: &Path, now: Mono) -> io::Result<()> {
        // Dropping one ends it.
        self.jobs.retain(|other| other.detector != look.detector);
        let spec = JobSpec {
            argv: vec![
                "/proc/self/exe".to_owned(),
                "probe".to_owned(),
                "--record".to_owned(),
                record.display().to_string(),
            ],
            // The project may be on a file system that hangs.
            cwd: PathBuf::from("/"),
            env: Default::default(),
            timeout: look.timeout,
            keep: KEEP,
        };
        // Not as an argument: addresses may hold passwords, and arguments can be read by everybody.
        let question = serde_json::to_vec(&look.question)?;
        let job = Job::spawn_with_input(&spec, &question, now)?;
        self.jobs.push(UnderWay { id: look.id, detector: look.detector.clone(), child: look.child, job });
        Ok(())
    }

    /// Looks that have ended.
    pub(super) fn finished(&mut self, now: Mono) -> Vec<Looked> {
        let mut over = Vec::new();
        for mut under_way in std::mem::take(&mut self.jobs) {
            match under_way.job.on_ready(now) {
                JobState::Running => self.jobs.push(under_way),
                JobState::Over => over.push(under_way),
            }
        }
        over.into_iter()
            .map(|UnderWay { id, child, job, .. }| {
                let answer = answer_in(&job.finish());
                let report = match &answer {
                    Answer::Resources(seen) => self.scan(seen, child),
                    Answer::Well { .. } | Answer::Failed { .. } | Answer::Unknown { .. } => None,
                };
                Looked { id, answer, report }
            })
            .collect()
    }

    pub(super) fn end_all(&mut self) {
        // Dropping them ends them.
        self.jobs.clear();
    }

    pub(super) fn is_job(&self, pid: u32) -> bool {
        self.jobs.iter().any(|under_way| under_way.job.pid() == pid)
    }

    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.jobs.iter().flat_map(|under_way| under_way.job.fds())
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.jobs.iter().map(|under_way| under_way.job.deadline()).min()
    }

    /// The detectors read the kernel's lines as they read the child's.
    fn scan(&mut self, seen: &Resources, child: ChildNo) -> Option<ScanReport> {
        let lines = &seen.kernel.as_ref().filter(|kernel| !kernel.lines.is_empty())?.lines;
        let stream = StreamId::new(KERNEL_STREAM);
        let scanner =
            self.kernel.get_or_insert_with(|| Scanner::new(Arc::clone(&self.set), stream.clone(), Position::START));
        let mut text = lines.join("\n");
        text.push('\n');
        let mut scanned = scanner.feed(text.as_bytes());
        let rest = scanner.flush(Flush::Silence);
        scanned.detections.extend(rest.detections);
        self.kernel_lines = self.kernel_lines.saturating_add(scanned.lines);
        for detection in &mut scanned.detections {
            // There is no file to show these lines of: excerpts are of the child's log.
            detection.lines = (0, 0);
        }
        Some(ScanReport {
            stream,
            child,
            detections: scanned.detections,
            // The kernel's lines come after what the child has said before the look.
            arrived: Vec::new(),
            counted: scanned.counted,
            // No progress of the child's.
            metrics: Vec::new(),
            signals: Vec::new(),
            position: scanner.position(),
            file: None,
            lines: self.kernel_lines,
            read_something: false,
            caught_up: true,
            open: false,
            ended: false,
        })
    }
}

/// An answer that was given counts, even if whoever gave it could not be got rid of in time: it may hang in a system call.
fn answer_in(result: &JobResult) -> Answer {
    let said = result.stdout.last_line();
    match said.as_deref().map(serde_json::from_str::<Answer>) {
        Some(Ok(answer)) => answer,
        _ if result.timed_out => Answer::Unknown { why: "the look took too long and was given up".to_owned() },
        Some(Err(error)) => Answer::Unknown { why: format!("the look failed: {error}") },
        None => {
            let why = result.stderr.last_line().unwrap_or_else(|| "it said nothing".to_owned());
            Answer::Unknown { why: format!("the look failed: {why}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::detect::look::KernelLines;

    fn seen(lines: &[&str]) -> Resources {
        let lines = lines.iter().map(|&line| line.to_owned()).collect();
        Resources { kernel: Some(KernelLines { next: 1, lines }), ..Resources::default() }
    }

    #[test]
    fn detectors_read_the_kernels_lines() {
        let text = "process: {command: [x]}\ndetectors: [{name: net, kind: pattern, regex: 'nfs: server (\\S+) not'}]";
        let (config, _) = config::parse(text, None, Path::new("/p"), &|_| None).unwrap();
        let mut looker = Looker::new(Arc::new(DetectorSet::compile(&config.detectors).unwrap()));
        assert!(looker.scan(&seen(&[]), ChildNo(2)).is_none());
        assert!(looker.scan(&Resources::default(), ChildNo(2)).is_none());
        for look in 1..=2 {
            let lines = ["soft lockup", "nfs: server filer not responding, still trying"];
            let report = looker.scan(&seen(&lines), ChildNo(2)).unwrap();
            let [found] = report.detections.as_slice() else { panic!("{report:?}") };
            assert_eq!((found.stream.as_str(), found.captures["1"].as_str()), (KERNEL_STREAM, "filer"));
            assert_eq!((found.lines, report.lines, report.read_something), ((0, 0), look * 2, false));
        }
    }

    #[test]
    fn an_answer_counts_even_if_it_came_from_somebody_who_hangs() {
        let result = |stdout: &str, stderr: &str, timed_out| {
            let output = |text: &str| crate::os::job::Output { tail: text.as_bytes().to_vec(), dropped: 0 };
            JobResult { status: None, stdout: output(stdout), stderr: output(stderr), timed_out }
        };
        let well = r#"{"answer":"well","said":"yes"}"#;
        let rows = [
            (result(well, "", false), "yes"),
            (result(well, "", true), "yes"),
            (result("", "", true), "the look took too long and was given up"),
            (result(r#"{"answer":"we"#, "", true), "the look took too long and was given up"),
            (result("", "error: no\n", false), "the look failed: error: no"),
            (result("", "", false), "the look failed: it said nothing"),
        ];
        for (result, expected) in rows {
            match answer_in(&result) {
                Answer::Well { said } | Answer::Unknown { why: said } => assert_eq!(said, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}
