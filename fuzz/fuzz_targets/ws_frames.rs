#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvsp_fuzz::ws_frames::ws_frames(data));
