#![no_main]

#[path = "../properties/selector.rs"]
mod selector;

libfuzzer_sys::fuzz_target!(|input: &[u8]| selector::check(input));
