#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lvsp_fuzz::proxy_client::proxy_client(data));
