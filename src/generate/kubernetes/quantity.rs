//! Quantities of resources, as `kubectl set resources` takes them: `cpu=100m,memory=128Mi`.

use std::str::FromStr;

use serde_json::Value as Json;

use super::names::check_label_key;

const SUFFIXES: [&str; 14] = [
    "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti",
];

/// A quantity of each of some resources; none is an empty list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantities(pub Vec<(String, String)>);

impl Quantities {
    pub fn json(&self) -> Json {
        let quantities = self.0.iter();
        quantities
            .map(|(resource, quantity)| (resource.clone(), quantity.as_str().into()))
            .collect::<serde_json::Map<String, Json>>()
            .into()
    }
}

impl FromStr for Quantities {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').filter(|part| !part.is_empty());
        let read = parts.map(|part| {
            let (resource, amount) = part
                .split_once('=')
                .ok_or("the form is cpu=100m,memory=128Mi")?;
            check_label_key(resource).map_err(|problem| format!("{resource:?} {problem}"))?;
            Ok((resource.to_owned(), quantity(amount)?))
        });
        read.collect::<Result<_, String>>().map(Quantities)
    }
}

/// Checks a quantity such as `500m` or `1.5Gi`.
///
/// # Errors
///
/// The reason, with the text.
pub fn quantity(text: &str) -> Result<String, String> {
    let end = text.find(|c: char| c != '.' && !c.is_ascii_digit());
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    if number.starts_with(|c: char| c.is_ascii_digit())
        && number.parse::<f64>().is_ok()
        && SUFFIXES.contains(&suffix)
    {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is no quantity (for example 500m, 128Mi or 1.5Gi)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let read = |text: &str| text.parse::<Quantities>();
        let two = [("cpu", "100m"), ("memory", "128Mi")];
        let two = two.map(|(name, amount)| (name.to_owned(), amount.to_owned()));
        assert_eq!(read("cpu=100m,memory=128Mi"), Ok(Quantities(two.into())));
        assert_eq!(read(""), Ok(Quantities::default()));
        assert!(read("nvidia.com/gpu=1").is_ok());
        for bad in [
            "cpu",
            "cpu=",
            "cpu=x",
            "cpu=1Mb",
            "=1",
            "cpu=-1",
            "cpu=1 Mi",
            "memory=.5Gi",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
