//! The system's errors in words.

use std::io;

/// The text of `error` without its number: `No such file or directory`, not `No such file or directory (os error 2)`.
///
/// The number says nothing that the words do not, and readers take it for another problem. It can stand anywhere: errors
/// of libraries quote those of the system.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let mut words = String::new();
    let mut rest = text.as_str();
    while let Some((before, behind)) = rest.split_once(" (os error ") {
        let digits = behind.trim_start_matches(|symbol: char| symbol.is_ascii_digit());
        words.push_str(before);
        rest = digits.strip_prefix(')').unwrap_or(behind);
    }
    words + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_is_left_out() {
        let system = io::Error::from_raw_os_error(2);
        let quoted = io::Error::other(format!("{system} at path \"a (b)\""));
        assert_eq!(reason(&system), "No such file or directory");
        assert_eq!(
            reason(&quoted),
            "No such file or directory at path \"a (b)\""
        );
        let kind = io::ErrorKind::NotADirectory.into();
        assert_eq!(reason(&kind), "not a directory");
    }
}
