#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvsp_fuzz::resume_diff::resume_diff(data));
