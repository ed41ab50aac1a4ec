//! An hour file may be foreign bytes, or torn anywhere.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayreel_archive::fuzzing::boxes(bytes));
