//! The system's errors in words.

use std::io;

/// The text of `error` without its number: `No such file or directory`, not `No such file or directory (os error 2)`.
///
/// The number says nothing that the words do not, and readers take it for another problem.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => match text.strip_suffix(&format!(" (os error {number})")) {
            Some(words) => words.to_owned(),
            None => text,
        },
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_is_left_out() {
        assert_eq!(
            reason(&io::Error::from_raw_os_error(2)),
            "No such file or directory"
        );
        let own = io::Error::other("a job said (os error 2)");
        assert_eq!(reason(&own), "a job said (os error 2)");
        assert_eq!(
            reason(&io::ErrorKind::NotADirectory.into()),
            "not a directory"
        );
    }
}
