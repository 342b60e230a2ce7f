#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvsp_fuzz::gw_json::gw_json(data));
