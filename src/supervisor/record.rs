//! `child-NNN.json`: the life of one child, written by its shim and read by whoever wants to know.
//!
//! The monitor writes the first version, before the shim exists; from then on only the shim does, until it is gone.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::StopSignal;
use crate::detect::ending::Exit;
use crate::ids::{ChildNo, RunId};
use crate::monitor::status::ProcessIdentity;
use crate::os::error::{At, AtExt};
use crate::os::file::{self, LastLink};
use crate::os::identity::Host;
pub use crate::supervisor::living::{Living, living};
use crate::supervisor::room;
use crate::time::Utc;

/// Version of the format. Fields are only added within a version.
pub const SCHEMA: u32 = 1;

/// More than any record needs.
const MAX_BYTES: u64 = 64 * 1024;

/// A child's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildRecord {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// Its run.
    pub run: RunId,
    /// Its number.
    pub child: ChildNo,
    /// When it was asked for.
    pub asked: Utc,
    /// First signal of a stop.
    pub stop_signal: StopSignal,
    /// Milliseconds between the first signal and the kill.
    pub stop_grace_ms: u64,
    /// Machine that it runs on; absent in records of older versions.
    #[serde(default)]
    pub host: Option<Host>,
    /// Its shim; absent until it is up.
    #[serde(default)]
    pub shim: Option<ProcessIdentity>,
    /// Its main process, which leads a process group; absent until it is up.
    #[serde(default)]
    pub process: Option<ProcessIdentity>,
    /// When that was started.
    #[serde(default)]
    pub started: Option<Utc>,
    /// How that ended.
    #[serde(default)]
    pub exit: Option<Exit>,
    /// When that ended.
    #[serde(default)]
    pub ended: Option<Utc>,
    /// When the last process of its tree was gone. Nothing is alive from then on.
    #[serde(default)]
    pub tree_gone: Option<Utc>,
    /// Directory of its control group, where one could be made.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
    /// What went otherwise than it should, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl ChildRecord {
    /// A child that has been asked for on this machine.
    pub fn asked(run: RunId, child: ChildNo, asked: Utc, stop_signal: StopSignal, stop_grace_ms: u64) -> Self {
        Self {
            schema: SCHEMA,
            run,
            child,
            asked,
            stop_signal,
            stop_grace_ms,
            host: Some(Host::this()),
            shim: None,
            process: None,
            started: None,
            exit: None,
            ended: None,
            tree_gone: None,
            cgroup: None,
            notes: Vec::new(),
        }
    }

    /// The other machine that it runs on, if it is another one than this, which has this boot id.
    pub fn elsewhere(&self, boot_id: &str) -> Option<&Host> {
        let recorded = self.shim.as_ref().or(self.process.as_ref());
        // One boot is one machine, whatever it calls itself in a container.
        if recorded.is_some_and(|process| process.boot_id == boot_id) {
            return None;
        }
        self.host.as_ref().filter(|host| host.is_other_than(&Host::this()))
    }

    /// Writes it, durably.
    ///
    /// # Errors
    /// The file is as before then.
    pub fn write(&self, path: &Path) -> Result<(), At> {
        file::write_atomic_durable(path, &self.spell(path)?)
    }

    /// Writes it, durably, into room that was reserved for it.
    pub(super) fn write_in_room(&self, path: &Path) -> Result<(), At> {
        room::write(path, &self.spell(path)?)
    }

    fn spell(&self, path: &Path) -> Result<Vec<u8>, At> {
        let spelt = serde_json::to_vec_pretty(self).map_err(io::Error::from);
        let mut bytes = spelt.at(path, "spell record")?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads one. `Ok(None)`: there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is no record.
    pub fn read(path: &Path) -> Result<Option<Self>, At> {
        let content = match file::read_capped(path, MAX_BYTES, LastLink::Refuse) {
            Ok(content) => content,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        serde_json::from_slice(&content.bytes).map(Some).map_err(|e| At {
            verb: "understand record",
            path: path.to_path_buf(),
            source: io::Error::from(e),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> ChildRecord {
        ChildRecord::asked(RunId::new("r"), ChildNo(3), Utc::from_millis(5), StopSignal::Int, 30_000)
    }

    #[test]
    fn comes_back_as_written_and_absence_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("child-003.json");
        assert_eq!(ChildRecord::read(&path).unwrap(), None);
        record().write(&path).unwrap();
        assert_eq!(ChildRecord::read(&path).unwrap(), Some(record()));
    }

    #[test]
    fn a_newer_record_is_read_as_far_as_it_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("child-003.json");
        let mut json = serde_json::to_value(record()).unwrap();
        json["schema"] = 9.into();
        json["not_yet_known"] = true.into();
        std::fs::write(&path, json.to_string()).unwrap();
        assert_eq!(ChildRecord::read(&path).unwrap().unwrap().schema, 9);
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.json");
            std::fs::write(&path, bytes).unwrap();
            prop_assert!(ChildRecord::read(&path).is_err());
        }
    }
}
