//! Families with rendered samples.

use super::{encode, openmetrics};
use crate::{Family, Kind};

/// A family whose samples are rendered, without timestamps.
#[derive(Debug, Clone)]
pub struct RenderedFamily {
    /// The family's name.
    pub name: String,
    /// The family's TYPE.
    pub kind: Kind,
    /// The HELP text, unescaped; empty when there is none.
    pub help: String,
    /// The sample lines, each with its line feed.
    pub lines: String,
}

impl RenderedFamily {
    /// Renders `family`, whose series must not have timestamps.
    pub fn of(family: &Family) -> Self {
        let mut lines = String::new();
        encode::encode_samples(&mut lines, family, |_, _| ());
        RenderedFamily {
            name: family.name.clone(),
            kind: family.kind,
            help: family.help.clone(),
            lines,
        }
    }
}

/// Encodes families in the text format 0.0.4, as pieces to be concatenated.
pub fn text_pieces(families: impl ExactSizeIterator<Item = RenderedFamily>) -> Vec<String> {
    let mut pieces = Vec::with_capacity(2 * families.len());
    for family in families {
        let mut header = String::new();
        let name = encode::name(&family.name);
        encode::header(&mut header, &name, family.kind, &family.help);
        pieces.push(header);
        pieces.push(family.lines);
    }
    pieces
}

/// Encodes families in [OpenMetrics](mod@openmetrics), with its last line, as pieces to be concatenated.
pub fn openmetrics_pieces(families: Vec<RenderedFamily>) -> Vec<String> {
    let names = openmetrics::sample_names(families.iter().map(|f| (f.name.as_str(), f.kind)));
    let headers: Vec<String> = families
        .iter()
        .map(|family| {
            let mut out = String::new();
            openmetrics::header(&mut out, &family.name, family.kind, &family.help, &names);
            out
        })
        .collect();
    let mut pieces = Vec::with_capacity(2 * families.len() + 1);
    for (header, family) in headers.into_iter().zip(families) {
        pieces.push(header);
        pieces.push(family.lines);
    }
    pieces.push(openmetrics::END.into());
    pieces
}
