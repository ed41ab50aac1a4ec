//! Packets may be anything: networks, cameras and strangers send them.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dayreel_pipeline::fuzzing::rtp(bytes));
