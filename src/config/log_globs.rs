//! Which files `process.logs` means, by their paths alone.

use std::path::{Path, PathBuf};

use globset::GlobMatcher;

use super::globs::one;
use super::model::LogGlob;

/// Deepest directory below a glob's root that is looked into.
const MAX_DEPTH: usize = 32;

/// Globs of log files, compiled.
#[derive(Clone, Debug, Default)]
pub struct LogGlobs {
    globs: Vec<Compiled>,
    /// Directories that are never looked into: our own.
    skip: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
struct Compiled {
    root: PathBuf,
    rest: GlobMatcher,
    /// What each directory on the way has to match, up to the first `**`; `None` where anything may be on the way.
    way: Vec<Option<GlobMatcher>>,
    /// From the end of `way` on, any depth.
    deep: bool,
    /// Names that begin with a dot are meant, too.
    hidden: bool,
}

impl LogGlobs {
    /// Compiles globs that were checked; `skip` are directories that are never looked into.
    pub fn new(globs: &[LogGlob], skip: Vec<PathBuf>) -> Self {
        Self { globs: globs.iter().filter_map(Compiled::new).collect(), skip }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// The directories at which to begin, each once.
    pub fn roots(&self) -> Vec<&Path> {
        let mut roots: Vec<&Path> = self.globs.iter().map(|glob| glob.root.as_path()).collect();
        roots.sort_unstable();
        roots.dedup();
        roots
    }

    /// Whether a file is meant.
    pub fn takes(&self, file: &Path) -> bool {
        !self.skips(file) && self.globs.iter().any(|glob| glob.takes(file))
    }

    /// Whether files that are meant may lie in a directory or below it.
    pub fn enters(&self, directory: &Path) -> bool {
        !self.skips(directory) && self.globs.iter().any(|glob| glob.enters(directory))
    }

    /// Whether files that are meant may lie in a directory itself.
    pub fn reads(&self, directory: &Path) -> bool {
        let at_end = |glob: &Compiled| {
            let below = directory.strip_prefix(&glob.root).map(|below| below.components().count());
            below.is_ok_and(|depth| glob.deep && depth >= glob.way.len() || depth == glob.way.len())
        };
        self.globs.iter().any(at_end)
    }
}

impl LogGlobs {
    fn skips(&self, path: &Path) -> bool {
        self.skip.iter().any(|skip| path.starts_with(skip))
    }
}

impl Compiled {
    fn new(glob: &LogGlob) -> Option<Self> {
        let parts: Vec<&str> = glob.rest.split('/').collect();
        let (_, directories) = parts.split_last()?;
        // Alternatives may hold slashes: then the parts are not what they seem.
        let opaque = glob.rest.matches('{').count() > 0 && parts.iter().any(|part| unbalanced(part));
        let literal = directories.iter().take_while(|part| !part.contains("**")).count();
        let way = directories.iter().take(if opaque { 0 } else { literal });
        Some(Self {
            root: glob.root.clone(),
            rest: one(&glob.rest).ok()?.compile_matcher(),
            way: way.map(|part| one(part).ok().map(|glob| glob.compile_matcher())).collect(),
            deep: opaque || literal < directories.len(),
            hidden: glob.rest.starts_with('.') || glob.rest.contains("/."),
        })
    }

    fn takes(&self, file: &Path) -> bool {
        file.strip_prefix(&self.root).is_ok_and(|below| self.admits(below) && self.rest.is_match(below))
    }

    fn enters(&self, directory: &Path) -> bool {
        let Ok(below) = directory.strip_prefix(&self.root) else { return false };
        let depth = below.components().count();
        let on_the_way = below
            .components()
            .zip(&self.way)
            .all(|(part, wanted)| wanted.as_ref().is_none_or(|wanted| wanted.is_match(Path::new(part.as_os_str()))));
        self.admits(below) && on_the_way && (depth <= self.way.len() || self.deep) && depth <= MAX_DEPTH
    }

    /// As in a shell, names that begin with a dot are meant only where the glob writes the dot.
    fn admits(&self, below: &Path) -> bool {
        self.hidden || !below.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
    }
}

fn unbalanced(part: &str) -> bool {
    part.matches('{').count() != part.matches('}').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(rest: &str) -> LogGlobs {
        let glob = LogGlob { pattern: rest.to_owned(), root: "/job".into(), rest: rest.to_owned() };
        LogGlobs::new(&[glob], vec!["/job/.sentry".into()])
    }

    #[test]
    fn files_and_the_directories_on_the_way_to_them() {
        // Glob; files that are meant; files that are not; directories that are looked into; those that are not.
        type Row = (
            &'static str,
            &'static [&'static str],
            &'static [&'static str],
            &'static [&'static str],
            &'static [&'static str],
        );
        let rows: [Row; 6] = [
            ("*.log", &["a.log"], &["a.txt", "d/a.log", ".a.log"], &[""], &["d"]),
            ("rank*/stderr.log", &["rank1/stderr.log"], &["x/stderr.log"], &["", "rank1"], &["x", "rank1/y"]),
            (
                "**/*.log",
                &["a.log", "x/y/a.log"],
                &[".sentry/a.log", ".git/a.log"],
                &["", "x/y/z"],
                &[".sentry", ".git"],
            ),
            ("a/**/b/*.log", &["a/b/x.log", "a/c/d/b/x.log"], &["b/x.log"], &["", "a", "a/c/d"], &["b"]),
            (".logs/*", &[".logs/a"], &["logs/a"], &["", ".logs"], &["logs", ".git"]),
            ("{a/b,c}/*.log", &["a/b/x.log", "c/x.log"], &["b/x.log"], &["", "a", "a/b", "c"], &[]),
        ];
        for (rest, files, not_files, directories, not_directories) in rows {
            let globs = globs(rest);
            let at = |below: &&str| Path::new("/job").join(below);
            assert!(files.iter().map(at).all(|file| globs.takes(&file)), "{rest}");
            assert!(!not_files.iter().map(at).any(|file| globs.takes(&file)), "{rest}");
            for file in files.iter().map(at) {
                assert!(globs.reads(file.parent().unwrap()), "{rest}: {}", file.display());
                let mut above = file.ancestors().skip(1).take_while(|above| above.starts_with("/job"));
                assert!(above.all(|above| globs.enters(above)), "{rest}: {}", file.display());
            }
            assert!(directories.iter().map(at).all(|directory| globs.enters(&directory)), "{rest}");
            assert!(!not_directories.iter().map(at).any(|directory| globs.enters(&directory)), "{rest}");
        }
        assert!(!globs("rank*/stderr.log").reads(Path::new("/job")), "no file in the root is meant");
        assert!(!globs("*.log").takes(Path::new("/elsewhere/a.log")));
    }
}
