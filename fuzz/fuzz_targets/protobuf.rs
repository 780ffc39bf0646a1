#![no_main]

#[path = "../properties/protobuf.rs"]
mod protobuf;
#[path = "../properties/stored.rs"]
mod stored;

libfuzzer_sys::fuzz_target!(|input: &[u8]| protobuf::check(input));
