//! Gives the memory of decodes back to the system.
//!
//! A decode of 1080p needs some 45 MB for a tenth of a second, from several threads. Left alone,
//! glibc keeps what they free, for each of them: after 800 decodes, four at once, the process held
//! 415 MB. So it is 150 MB at the height and 15 to 25 MB after, and a cold frame takes some 10 ms
//! longer for its page faults.

use std::sync::Once;

/// Blocks from here on are mapped for themselves, and unmapped when they are freed: pictures, not
/// the tables beside them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BYTES: libc::c_int = 1 << 20;

/// From now on the whole process gives back large blocks when they are freed.
pub(crate) fn give_back_large_blocks() {
    static DONE: Once = Once::new();
    DONE.call_once(set_threshold);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "no safe crate offers mallopt")]
fn set_threshold() {
    // SAFETY: takes no pointer. It sets one word that allocations read, under the allocator's lock;
    // either value is a valid threshold for an allocation that runs meanwhile.
    let accepted = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
    if accepted == 0 {
        tracing::debug!("the C library keeps its own threshold for large blocks");
    }
}

/// Gives back what is free among the small blocks. Takes milliseconds: for blocking threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "no safe crate offers malloc_trim")]
pub(crate) fn trim() {
    // SAFETY: takes no pointer, touches only memory that is free, and is thread-safe
    // (malloc_trim(3): "MT-Safe").
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries give large blocks back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
const fn set_threshold() {}

/// Nothing to give back: see [`set_threshold`].
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) const fn trim() {}
