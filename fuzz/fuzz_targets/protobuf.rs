#![no_main]

#[path = "../properties/protobuf.rs"]
mod protobuf;

libfuzzer_sys::fuzz_target!(|input: &[u8]| protobuf::check(input));
