//! The properties that fuzz/ looks for exceptions to hold for what it has found so far.

use std::fs;
use std::path::Path;

#[path = "../fuzz/properties/body.rs"]
mod body;
#[path = "../fuzz/properties/path.rs"]
mod path;
#[path = "../fuzz/properties/protobuf.rs"]
mod protobuf;
#[path = "../fuzz/properties/selector.rs"]
mod selector;
#[path = "../fuzz/properties/stored.rs"]
mod stored;
#[path = "../fuzz/properties/text.rs"]
mod text;

#[test]
fn bodies() {
    each("body", body::check);
}

#[test]
fn paths() {
    each("path", path::check);
}

#[test]
fn messages() {
    each("protobuf", protobuf::check);
}

#[test]
fn selectors() {
    each("selector", selector::check);
}

#[test]
fn texts() {
    each("text", text::check);
}

fn each(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut files = 0;
    for entry in fs::read_dir(corpus.join(target)).unwrap() {
        let file = entry.unwrap().path();
        // Shown if a check fails: it is the last one.
        println!("{}", file.display());
        check(&fs::read(&file).unwrap());
        files += 1;
    }
    assert!(files > 0);
}
