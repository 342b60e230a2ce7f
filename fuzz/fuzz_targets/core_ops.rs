#![no_main]

libfuzzer_sys::fuzz_target!(init: lvsp_fuzz::core_ops::be_quiet(), |data: &[u8]| {
    lvsp_fuzz::core_ops::core_ops(data)
});
