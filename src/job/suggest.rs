//! Suggestions for a misspelt name.

/// The one of `known` that is most like `name`, if one is much like it.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean "…"?)`, or the list of known names.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(candidate) => format!(" (did you mean {candidate:?}?)"),
        None => {
            let known: Vec<&str> = known.into_iter().collect();
            format!(" (known: {})", known.join(", "))
        }
    }
}
