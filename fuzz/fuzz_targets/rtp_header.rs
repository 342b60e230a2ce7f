#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvsp_fuzz::rtp_header::rtp_header(data));
