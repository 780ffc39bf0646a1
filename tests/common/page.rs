//! Pages of `docs/reference/` with parts that tests write of what the program says.

use std::fs;

/// Holds the part `part` of the page `page` against what the test has found. With INSTA_UPDATE=always it is written, as snapshots are.
#[track_caller]
pub fn holds(page: &str, part: &str, found: &str) {
    let path = format!("{}/docs/reference/{page}.md", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {part}, written by a test -->\n\n"),
        format!("\n<!-- end of {part} -->\n"),
    );
    let (before, rest) = text.split_once(&begin).expect(&begin);
    let (written, after) = rest.split_once(&end).expect(&end);
    if written == found {
        return;
    }
    let is_update = std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always");
    if is_update {
        fs::write(&path, [before, &begin, found, &end, after].concat()).unwrap();
        return;
    }
    let differs = written
        .lines()
        .zip(found.lines())
        .find(|(one, other)| one != other);
    panic!(
        "{path} differs from the program in \"{part}\": {differs:?}; write it anew by INSTA_UPDATE=always cargo test \
         --all-features --test tests, with the name of this test"
    );
}
