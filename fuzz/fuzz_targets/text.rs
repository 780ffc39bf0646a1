#![no_main]

#[path = "../properties/stored.rs"]
mod stored;
#[path = "../properties/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|input: &[u8]| text::check(input));
