//! Sizes on the command line and in job files.

/// Reads a number of bytes: `65536`, `64KiB`, `32MiB`, `1GiB`.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: usize = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("unknown unit {other:?} (try KiB, MiB or GiB)")),
    };
    let number: usize = digits
        .parse()
        .map_err(|_| "it is no size (try 32MiB)".to_owned())?;
    number
        .checked_mul(unit)
        .ok_or_else(|| "it is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("17"), Ok(17));
        assert_eq!(parse_size("2 KiB"), Ok(2048));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        for bad in ["", "MiB", "-1", "1.5MiB", "1MB", "99999999999GiB", "é"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
