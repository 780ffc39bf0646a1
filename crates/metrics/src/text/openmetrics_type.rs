//! Types of OpenMetrics, and their counterparts in text 0.0.4.

use super::draft::{Part, Sample};
use super::number::float;
use crate::excerpt;
use crate::family::Kind;

/// Type of an OpenMetrics family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    StateSet,
    Info,
    Summary,
    Unknown,
}

/// Role of a sample in its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The value of a family of text 0.0.4 that has the sample's name.
    Number(Kind),
    /// A part of the summary or histogram that has the OpenMetrics family's name.
    Part(Kind, Part),
    /// The creation time, which text 0.0.4 does not have.
    Created,
}

impl Role {
    /// Returns the kind that determines the special label of the sample, `quantile` or `le`.
    pub fn labels_of(self) -> Kind {
        match self {
            Role::Part(kind, Part::Own) => kind,
            _ => Kind::Untyped,
        }
    }
}

impl Type {
    const ALL: [Type; 8] = [
        Type::Counter,
        Type::Gauge,
        Type::Histogram,
        Type::GaugeHistogram,
        Type::StateSet,
        Type::Info,
        Type::Summary,
        Type::Unknown,
    ];

    /// Returns the type by its name in a TYPE line. The error lists all types.
    pub fn from_name(word: &[u8]) -> Result<Type, String> {
        let mut all = Type::ALL.into_iter();
        all.find(|kind| kind.name().as_bytes() == word)
            .ok_or_else(|| {
                let known = Type::ALL.map(Type::name).join(", ");
                let word = excerpt::quoted(word);
                format!("unknown TYPE {word} (known in OpenMetrics: {known})")
            })
    }

    pub fn name(self) -> &'static str {
        match self {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
            Type::GaugeHistogram => "gaugehistogram",
            Type::StateSet => "stateset",
            Type::Info => "info",
            Type::Summary => "summary",
            Type::Unknown => "unknown",
        }
    }

    /// Returns the suffixes of sample names with the role of their samples.
    ///
    /// A gauge histogram, whose counts may go down, is no histogram of text 0.0.4. Its samples become gauges, which
    /// are the same series that Prometheus makes of it.
    fn samples(self) -> &'static [(&'static str, Role)] {
        const CREATED: (&str, Role) = ("_created", Role::Created);
        const GAUGE: Role = Role::Number(Kind::Gauge);
        match self {
            Type::Counter => &[("_total", Role::Number(Kind::Counter)), CREATED],
            Type::Gauge | Type::StateSet => &[("", GAUGE)],
            Type::Unknown => &[("", Role::Number(Kind::Untyped))],
            Type::Info => &[("_info", GAUGE)],
            Type::GaugeHistogram => &[("_bucket", GAUGE), ("_gcount", GAUGE), ("_gsum", GAUGE)],
            Type::Histogram => &[
                ("_bucket", Role::Part(Kind::Histogram, Part::Own)),
                ("_count", Role::Part(Kind::Histogram, Part::Count)),
                ("_sum", Role::Part(Kind::Histogram, Part::Sum)),
                CREATED,
            ],
            Type::Summary => &[
                ("", Role::Part(Kind::Summary, Part::Own)),
                ("_count", Role::Part(Kind::Summary, Part::Count)),
                ("_sum", Role::Part(Kind::Summary, Part::Sum)),
                CREATED,
            ],
        }
    }

    /// Returns all suffixes of sample names.
    pub fn suffixes() -> impl Iterator<Item = &'static str> {
        [
            "_total", "_created", "_info", "_bucket", "_count", "_sum", "_gcount", "_gsum",
        ]
        .into_iter()
    }

    /// Returns the role of samples with this suffix, if the type has them.
    pub fn role(self, suffix: &str) -> Option<Role> {
        let mut samples = self.samples().iter();
        samples.find_map(|(own, role)| (*own == suffix).then_some(*role))
    }

    /// Describes the error that a sample has the bare name of its family, which this type does not have.
    pub fn problem_with(self, name: &str) -> String {
        let shown = excerpt::word(name);
        let samples = self.samples().iter();
        let samples: Vec<_> = samples
            .map(|(suffix, _)| format!("{shown}{suffix}"))
            .collect();
        let mut problem = format!(
            "the {} {shown} has no samples of that name in OpenMetrics, only {}",
            self.name(),
            samples.join(", ")
        );
        let suffix = self.samples()[0].0;
        if let (Type::Counter | Type::Info, Some(base)) = (self, name.strip_suffix(suffix)) {
            let base = excerpt::word(base);
            problem += &format!(": its TYPE and HELP lines must name it {base}");
        }
        problem
    }

    /// Refuses the sample `name` if its labels or value are impossible in the family `family` of this type.
    pub fn check(self, family: &str, name: &str, sample: &Sample) -> Result<(), String> {
        let (labels, value) = (&sample.labels, sample.value);
        let problem = match self {
            Type::Counter if value.is_nan() || value < 0.0 => {
                format!("is a counter, and cannot be {value}")
            }
            Type::Info if value != 1.0 => format!("is an info, which is always 1, not {value}"),
            Type::StateSet if !labels.contains_key(family) => {
                let family = excerpt::word(family);
                format!("is of a stateset, and needs the label {family} for its state")
            }
            Type::StateSet if value != 0.0 && value != 1.0 => {
                format!("is of a stateset, where a state is 1 or 0, not {value}")
            }
            Type::GaugeHistogram if name.ends_with("_bucket") => {
                match labels.get("le").map(str::as_bytes).and_then(float) {
                    Some(bound) if !bound.is_nan() => return Ok(()),
                    _ => "is a bucket, and needs the label le, a number".into(),
                }
            }
            _ => return Ok(()),
        };
        Err(format!("{} {problem}", excerpt::series(name, labels)))
    }
}

/// Returns advice for a TYPE that text 0.0.4 does not know and OpenMetrics does.
pub fn hint(word: &[u8]) -> Option<&'static str> {
    match Type::from_name(word) {
        Ok(Type::GaugeHistogram | Type::StateSet | Type::Info | Type::Unknown) => {
            Some("; this is one of OpenMetrics, whose last line is # EOF")
        }
        _ => None,
    }
}
