//! A description may be anything: it is what a camera says of itself.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayreel_pipeline::fuzzing::description(bytes));
