//! Memory of this process.

#[cfg(target_env = "gnu")]
use nix::libc;

/// Gives memory that was freed back to the operating system, as far as the C library can.
///
/// To be called when a lot has been freed for good: glibc keeps freed memory below other allocations (malloc_trim(3)), and
/// compiling regular expressions frees about 0.8 MB that nobody will ask for again.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes a number, and touches only memory that the allocator itself knows to be free.
    #[expect(unsafe_code, reason = "std has no way to say this to the allocator")]
    unsafe {
        libc::malloc_trim(0);
    }
}
