//! Pages of `docs/`: where they are, and the parts of `docs/reference/` that tests write of what the program says.

use std::fs;
use std::path::{Path, PathBuf};

/// The pages at the top of the repository with these names, and all pages below `docs/`.
pub fn paths(at_the_top: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = at_the_top.iter().map(|name| root.join(name)).collect();
    let mut dirs = vec![root.join("docs")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

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
