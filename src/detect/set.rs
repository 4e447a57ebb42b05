//! The detectors of a configuration, compiled for scanning.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use regex::bytes::Regex;
use regex_syntax::hir::Hir;

use super::automaton::{Automaton, CACHE_BYTES, Cache};
use super::class_match::ClassMatch;
use super::confine::{PatternError, check_pattern, confined};
use super::hit::read_match;
use super::metric::Metric;
use super::relax::relaxed;
use super::traceback::Driver;
use super::values::Values;
use super::{Class, DetectorKind, Language, Severity};
use crate::config::{self, PhaseMarks, Stall, What};
use crate::ids::{DetectorName, PhaseName};

/// Everything that is looked for in a stream. Immutable; one for all streams of a configuration.
#[derive(Debug)]
pub struct DetectorSet {
    pub(super) patterns: Vec<Pattern>,
    pub(super) tracebacks: Vec<Traceback>,
    pub(super) metrics: Vec<Metric>,
    pub(super) values: Vec<Values>,
    pub(super) marks: Vec<Mark>,
    automaton: Option<Automaton>,
    /// Caches that no scanner uses just now. Megabytes each, so they belong to the set and not to each of its streams.
    caches: Mutex<Vec<Cache>>,
}

/// Why detectors cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A pattern is refused.
    #[error("cannot compile detector `{detector}`")]
    Pattern {
        /// Whose.
        detector: DetectorName,
        /// Why.
        #[source]
        source: PatternError,
    },
    /// All are fine alone, but not together.
    #[error("cannot compile the detectors together: {0}")]
    Together(String),
}

/// A `pattern` or `rate` detector, or a class of the catalogue.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) name: DetectorName,
    pub(super) kind: DetectorKind,
    pub(super) severity: Severity,
    looks: Looks,
}

#[derive(Debug)]
enum Looks {
    Like(Regex),
    LikeClass(Box<ClassMatch>),
}

impl Pattern {
    /// Message, captures and class of a line that was hit; `None` where the line is none all the same.
    pub(super) fn read(&self, line: &[u8]) -> Option<(String, BTreeMap<String, String>, Option<Class>)> {
        match &self.looks {
            Looks::Like(regex) => {
                let (message, captures) = read_match(regex, line);
                Some((message, captures, None))
            }
            Looks::LikeClass(class) => {
                class.read(line).map(|(message, captures, class)| (message, captures, Some(class)))
            }
        }
    }
}

/// A line that begins or ends a phase.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) phase: Arc<PhaseName>,
    pub(super) begins: bool,
}

/// A `traceback` detector.
#[derive(Debug)]
pub(super) struct Traceback {
    pub(super) name: DetectorName,
    pub(super) severity: Severity,
    languages: Vec<Language>,
}

impl Traceback {
    /// Whether traces of this language are meant. Languages that print the same traces go together.
    pub(super) fn wants(&self, language: Language) -> bool {
        self.languages.is_empty() || self.languages.iter().any(|wanted| wanted.family() == language.family())
    }
}

impl DetectorSet {
    /// Compiles the detectors that look at streams: `pattern`, `rate`, `traceback`, `metric`, classes of the catalogue, and the
    /// metrics of `stall`.
    ///
    /// # Errors
    /// When a pattern is refused (see [`check_pattern`]) or the patterns are too large together.
    pub fn compile(detectors: &[config::Detector]) -> Result<Self, CompileError> {
        Self::with_phases(detectors, &[])
    }

    /// The same with the lines that begin and end phases.
    ///
    /// # Errors
    /// As [`DetectorSet::compile`].
    pub fn with_phases(detectors: &[config::Detector], phases: &[PhaseMarks]) -> Result<Self, CompileError> {
        let mut set = Self {
            patterns: Vec::new(),
            tracebacks: Vec::new(),
            metrics: Vec::new(),
            values: Vec::new(),
            marks: Vec::new(),
            automaton: None,
            caches: Mutex::new(Vec::new()),
        };
        let mut expressions = Vec::new();
        for detector in detectors {
            let (name, severity) = (detector.name.clone(), detector.severity);
            let compile = |regex: &Regex| {
                let refused = |source| CompileError::Pattern { detector: detector.name.clone(), source };
                let hir = confined(regex.as_str()).map_err(refused)?;
                Ok((check_pattern(regex.as_str()).map_err(refused)?, hir))
            };
            match &detector.what {
                What::Pattern { regex, .. } | What::Rate { regex, .. } => {
                    let (regex, hir) = compile(regex)?;
                    expressions.push(hir);
                    set.patterns.push(Pattern {
                        name,
                        kind: detector.what.kind(),
                        severity,
                        looks: Looks::Like(regex),
                    });
                }
                What::Class(entry) if entry.patterns.is_empty() => {}
                What::Class(entry) => {
                    let refused = |source| CompileError::Pattern { detector: detector.name.clone(), source };
                    let part = |pattern: &String| confined(pattern).map(|hir| relaxed(&hir));
                    let parts: Result<Vec<Hir>, _> = entry.patterns.iter().map(part).collect();
                    // One for all of its patterns: a class is there once in a line, however many of them match.
                    expressions.push(Hir::alternation(parts.map_err(refused)?));
                    set.patterns.push(Pattern {
                        name,
                        kind: detector.what.kind(),
                        severity,
                        looks: Looks::LikeClass(Box::new(ClassMatch::new(Arc::clone(entry)))),
                    });
                }
                What::Traceback { languages } => {
                    set.tracebacks.push(Traceback { name, severity, languages: languages.clone() });
                }
                What::Stall(Stall { metric: Some(regex), .. }) => {
                    let (regex, hir) = compile(regex)?;
                    set.metrics.push(Metric::new(name, regex, &hir));
                }
                What::Metric(metric) => {
                    let (_, hir) = compile(&metric.regex)?;
                    let values = Values::new(name, &hir);
                    set.values.push(values.map_err(CompileError::Together)?);
                }
                What::Stall(Stall { metric: None, .. })
                | What::ExitCode { .. }
                | What::Resource(_)
                | What::Probe(_)
                | What::Catalogue(_) => {}
            }
        }
        for phase in phases {
            let name = Arc::new(phase.name.clone());
            for (regex, begins) in [(Some(&phase.begin), true), (phase.end.as_ref(), false)] {
                let Some(regex) = regex else { continue };
                let hir = confined(regex.as_str())
                    .map_err(|error| CompileError::Together(format!("phase `{}`: {error}", phase.name)))?;
                expressions.push(hir);
                set.marks.push(Mark { phase: Arc::clone(&name), begins });
            }
        }
        if let Some(languages) = set.languages() {
            for starter in Driver::new(&languages).starters() {
                let hir = confined(&starter)
                    .map_err(|error| CompileError::Together(format!("trace starter `{starter}`: {error}")))?;
                expressions.push(hir);
            }
        }
        if !expressions.is_empty() {
            set.automaton = Some(Automaton::new(&expressions, CACHE_BYTES).map_err(CompileError::Together)?);
        }
        Ok(set)
    }

    /// Languages whose traces are looked for, none for all; `None` when nobody asks for traces.
    pub(super) fn languages(&self) -> Option<Vec<Language>> {
        if self.tracebacks.is_empty() {
            return None;
        }
        let all = self.tracebacks.iter().any(|traceback| traceback.languages.is_empty());
        let wanted = self.tracebacks.iter().filter(|_| !all).flat_map(|traceback| traceback.languages.iter().copied());
        Some(wanted.collect())
    }

    /// States of the automaton found so far, and how often they had to be thrown away because there were too many: above ten
    /// times in 100 MB, a set belongs on two automata. For measurements; of the caches that no scanner uses just now.
    pub fn automaton_size(&self) -> (usize, u64) {
        let caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let states = caches.iter().map(Cache::states).max().unwrap_or(0);
        (states, caches.iter().map(Cache::stale).sum())
    }

    /// Runs `work` with the automaton, if there is anything to search for.
    pub(super) fn search(&self, work: impl FnOnce(&Automaton, &mut Cache)) {
        let Some(automaton) = &self.automaton else { return };
        // A cache is valid whatever happened to the thread that held the lock.
        let cache = self.caches.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut cache = cache.unwrap_or_else(|| automaton.cache());
        work(automaton, &mut cache);
        self.caches.lock().unwrap_or_else(PoisonError::into_inner).push(cache);
    }
}
