//! `install.sh` and `update.sh` with release archives made here. The program in them is a script that says its version; that
//! the real one builds from a checkout is what `make demo` shows.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests start processes, write files, and stop at the first surprise"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A place to install to, and releases to install from.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        for dir in ["home", "tmp", "releases"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        Self { root }
    }

    fn releases(&self) -> PathBuf {
        self.root.path().join("releases")
    }

    fn bin(&self) -> PathBuf {
        self.root.path().join("prefix/bin")
    }

    fn installed(&self) -> PathBuf {
        self.bin().join("sentry")
    }

    /// Packs `program` as the release `version`, with its checksum.
    fn release(&self, version: &str, program: &str) -> PathBuf {
        let packing = self.root.path().join("packing");
        fs::create_dir_all(&packing).unwrap();
        fs::write(packing.join("sentry"), program).unwrap();
        let name = format!("sentry-{version}-{}-linux.tar.gz", std::env::consts::ARCH);
        let archive = self.releases().join(&name);
        let tar = Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&packing).arg("sentry").status();
        assert!(tar.unwrap().success());
        let sum = Command::new("sha256sum").arg(&name).current_dir(self.releases()).output().unwrap();
        assert!(sum.status.success());
        fs::write(checksum_of(&archive), sum.stdout).unwrap();
        archive
    }

    fn run(&self, script: &str, arguments: &[&str], releases: Option<&str>) -> Output {
        let root = self.root.path();
        let mut command = Command::new("sh");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
            .args(arguments)
            .current_dir(root)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("HOME", root.join("home"))
            .env("TMPDIR", root.join("tmp"))
            .env("PREFIX", root.join("prefix"))
            .stdin(Stdio::null());
        if let Some(releases) = releases {
            command.env("SENTRY_RELEASES", releases);
        }
        command.output().unwrap()
    }

    fn install(&self, version: &str) -> Output {
        self.run("install.sh", &[version], Some(self.releases().to_str().unwrap()))
    }

    /// The only thing in `bin` is the program, and nothing temporary is left anywhere.
    fn assert_tidy(&self) {
        let names = |dir: &Path| -> Vec<String> {
            let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
        };
        assert!(names(&self.bin()).iter().all(|name| name == "sentry"), "{:?}", names(&self.bin()));
        assert_eq!(names(&self.root.path().join("tmp")), Vec::<String>::new());
    }
}

fn checksum_of(archive: &Path) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

fn says(version: &str) -> String {
    format!("#!/bin/sh\necho 'sentry {version}'\n")
}

#[track_caller]
fn assert_done(output: &Output, expected: &str) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains(expected), "{out}{err}");
}

#[track_caller]
fn assert_refused(name: &str, output: &Output, expected: &str) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{name}: {out}{err}");
    assert!(err.contains(expected), "{name}: {out}{err}");
}

#[test]
fn a_release_is_installed_and_later_updated() {
    let place = Place::new();
    place.release("9.9.1", &says("9.9.1"));
    assert_done(&place.install("9.9.1"), "installed sentry 9.9.1");
    assert_eq!(fs::read_to_string(place.installed()).unwrap(), says("9.9.1"));
    assert_eq!(fs::metadata(place.installed()).unwrap().permissions().mode() & 0o777, 0o755);

    place.release("9.9.2", &says("9.9.2"));
    let url = format!("file://{}", place.releases().display());
    assert_done(&place.run("update.sh", &["9.9.2"], Some(&url)), "replaced sentry 9.9.1 by sentry 9.9.2");
    assert_eq!(fs::read_to_string(place.installed()).unwrap(), says("9.9.2"));
    place.assert_tidy();
}

#[test]
fn what_cannot_be_trusted_replaces_nothing() {
    let place = Place::new();
    place.release("9.9.1", &says("9.9.1"));
    assert_done(&place.install("9.9.1"), "installed");

    let tampered = place.release("9.9.2", &says("9.9.2"));
    let mut bytes = fs::read(&tampered).unwrap();
    bytes.push(0);
    fs::write(&tampered, bytes).unwrap();
    let other = place.release("9.9.3", &says("9.9.3"));
    let borrowed = fs::read(checksum_of(&place.release("9.9.4", &says("9.9.4")))).unwrap();
    fs::write(checksum_of(&other), borrowed).unwrap();
    fs::remove_file(checksum_of(&place.release("9.9.5", &says("9.9.5")))).unwrap();
    place.release("9.9.6", &says("6.6.6"));
    place.release("9.9.7", "#!/bin/sh\nexit 3\n");
    let rows = [
        ("a wrong checksum", "9.9.2", "the checksum of"),
        ("the checksum of another file", "9.9.3", "holds no checksum of"),
        ("no checksum", "9.9.5", "cannot get"),
        ("another version inside", "9.9.6", "holds `sentry 6.6.6`"),
        ("a program that does not start", "9.9.7", "does not start"),
        ("no such release", "9.9.8", "cannot get"),
        ("a version that is a path", "../9.9.1", "is no version"),
    ];
    for (name, version, expected) in rows {
        assert_refused(name, &place.install(version), expected);
        assert_eq!(fs::read_to_string(place.installed()).unwrap(), says("9.9.1"), "{name}");
        place.assert_tidy();
    }
}

#[test]
fn a_missing_setting_or_program_is_said() {
    let place = Place::new();
    let rows = [
        ("no place of releases", place.run("install.sh", &["9.9.1"], None), "SENTRY_RELEASES is not set"),
        ("an unknown kind of place", place.run("install.sh", &["9.9.1"], Some("ftp://x")), "neither a directory nor"),
        ("an unknown option", place.run("install.sh", &["--yes"], None), "unknown option"),
        ("nothing to update", place.run("update.sh", &["9.9.1"], None), "no installed sentry was found"),
    ];
    for (name, output, expected) in rows {
        assert_refused(name, &output, expected);
    }
    place.assert_tidy();
}
