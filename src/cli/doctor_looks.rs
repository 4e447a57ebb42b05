//! What the detectors of the configuration cannot look at on this machine, for `sentry doctor`.

use std::time::Duration;

use crate::config::{Config, Resource, What};
use crate::os::{kmsg, usage};
use crate::view::checks::{Check, Outcome};
use crate::view::words;

/// A file system that has not answered by then is taken to hang.
const DISK_PATIENCE: Duration = Duration::from_secs(3);

/// Looks at what `resource` detectors will look at; nothing where there are none.
pub(super) fn checks(config: &Config, found: &mut Vec<Check>) {
    let resources: Vec<&Resource> = config
        .detectors
        .iter()
        .filter_map(|detector| match &detector.what {
            What::Resource(resource) => Some(resource.as_ref()),
            _ => None,
        })
        .collect();
    if resources.iter().any(|resource| resource.kernel_log) {
        found.push(kernel_log());
    }
    if let Some(wanted) = resources.iter().filter_map(|resource| resource.gpus).max() {
        found.push(gpus(wanted));
    }
    let mut disks: Vec<_> = resources.iter().flat_map(|resource| resource.disks.clone()).collect();
    disks.sort();
    disks.dedup();
    for (path, room) in disks.iter().zip(usage::rooms(&disks, DISK_PATIENCE)) {
        if let Err(error) = room {
            let what = format!("the file system of `{}` cannot be looked at: {error}", path.display());
            let remedy = "mount it, or correct `disks`; until then nothing is known of its space";
            found.push(Check::bad("disks", Outcome::Warning, what, remedy));
        }
    }
}

fn kernel_log() -> Check {
    const NAME: &str = "kernel log";
    // From the end on: nothing but the right to read is asked for.
    match kmsg::read(u64::MAX, |_| false) {
        Ok(_) => Check::ok(NAME, "/dev/kmsg is readable"),
        Err(error) => {
            let what = format!(
                "/dev/kmsg cannot be read ({error}): no detector sees Xid lines, disk errors or killed processes"
            );
            let remedy = "`kernel_log: false` if that is meant; else run where `kernel.dmesg_restrict` and the container allow it";
            Check::bad(NAME, Outcome::Warning, what, remedy)
        }
    }
}

fn gpus(wanted: u32) -> Check {
    const NAME: &str = "accelerators";
    match usage::gpus() {
        Ok(there) if there >= wanted => Check::ok(NAME, format!("{there} are there")),
        Ok(there) => {
            let what = format!("{there} of {} are there", words::thousands(u64::from(wanted)));
            Check::bad(NAME, Outcome::Warning, what, "load the driver, pass them to the container, or correct `gpus`")
        }
        Err(error) => {
            let what = format!("cannot be counted: {error}");
            Check::bad(
                NAME,
                Outcome::Warning,
                what,
                "see that /dev, /proc/driver/nvidia and /sys/class/kfd are readable",
            )
        }
    }
}
