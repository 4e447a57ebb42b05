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

/// Lets all threads share one heap (mallopt(3), `M_ARENA_MAX`). The monitor's helper threads only write what they are handed;
/// a heap of their own would cost each of them memory that stays.
///
/// To be called before the first thread is made.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes two numbers and changes a setting of the allocator; there is one thread yet.
    #[expect(unsafe_code, reason = "std has no way to say this to the allocator")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
