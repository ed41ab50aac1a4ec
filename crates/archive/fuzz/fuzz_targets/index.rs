//! An index may be foreign bytes: somebody copied a day here.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayreel_archive::fuzzing::index(bytes));
