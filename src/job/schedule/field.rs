//! The fields of a cron expression.

/// Unit of a field of a cron expression.
pub struct FieldUnit {
    name: &'static str,
    min: u8,
    max: u8,
    /// The names of the values, from the smallest on.
    names: &'static [&'static str],
}

pub const SECOND: FieldUnit = FieldUnit {
    name: "second",
    min: 0,
    max: 59,
    names: &[],
};
pub const MINUTE: FieldUnit = FieldUnit {
    name: "minute",
    ..SECOND
};
pub const HOUR: FieldUnit = FieldUnit {
    name: "hour",
    max: 23,
    ..SECOND
};
pub const DAY_OF_MONTH: FieldUnit = FieldUnit {
    name: "day of the month",
    min: 1,
    max: 31,
    names: &[],
};
pub const MONTH: FieldUnit = FieldUnit {
    name: "month",
    min: 1,
    max: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
/// From Sunday, which is 7 too, as in crontab(5).
pub const DAY_OF_WEEK: FieldUnit = FieldUnit {
    name: "day of the week",
    min: 0,
    max: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// The values that a field allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// A bit for each value.
    values: u64,
    /// True if it begins with `*`, which cron's rules for days and for clock changes ask for: even
    /// `*/2` counts as unrestricted there.
    pub begins_with_star: bool,
}

impl Field {
    /// Reads a list of values, ranges and steps.
    ///
    /// # Errors
    ///
    /// The problem of one of them, beginning with the field's name.
    pub fn parse(unit: &FieldUnit, text: &str) -> Result<Field, String> {
        let mut values = 0;
        for element in text.split(',') {
            values |= unit.element(element)?;
        }
        Ok(Field {
            values,
            begins_with_star: text.starts_with('*'),
        })
    }

    pub fn has(self, value: i8) -> bool {
        u32::try_from(value).is_ok_and(|value| self.values >> value & 1 == 1)
    }

    /// All its values, from the smallest on.
    pub fn values(self) -> Vec<u8> {
        (0..64)
            .filter(|value| self.values >> value & 1 == 1)
            .collect()
    }

    /// The smallest value from `from` on; `from` is below 64.
    pub fn next(self, from: i8) -> Option<i8> {
        let rest = self.values >> from << from;
        // A bit's place is below 64.
        (rest != 0).then(|| rest.trailing_zeros() as i8)
    }
}

/// A field for programs that read cron expressions in their own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainField {
    /// As it was written, but with numbers for names.
    pub text: String,
    /// The values that it allows, from the smallest on; Sunday is 0.
    pub values: Vec<u8>,
    /// True if it allows every value.
    pub is_full: bool,
    pub begins_with_star: bool,
}

impl FieldUnit {
    /// The form for other programs of `field`, which was written as `text`.
    pub fn plain(&self, text: &str, field: Field) -> PlainField {
        let elements = text.split(',').map(|element| {
            let (range, step) = match element.split_once('/') {
                Some((range, step)) => (range, format!("/{step}")),
                None => (element, String::new()),
            };
            let number = |value: Result<u8, String>, name: &str| match value {
                Ok(number) => number.to_string(),
                // A star.
                Err(_) => name.to_owned(),
            };
            let range = match range.split_once('-') {
                Some((first, last)) => format!(
                    "{}-{}",
                    number(self.value(element, first), first),
                    number(self.last_value(element, last), last)
                ),
                None => number(self.value(element, range), range),
            };
            range + &step
        });
        let values = field.values();
        let is_week = self.max == DAY_OF_WEEK.max;
        let count = usize::from(self.max - self.min) + usize::from(!is_week);
        PlainField {
            text: elements.collect::<Vec<_>>().join(","),
            is_full: values.len() == count,
            values,
            begins_with_star: field.begins_with_star,
        }
    }

    /// The bits of a value, a range or all values, with or without step.
    fn element(&self, text: &str) -> Result<u64, String> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(self.step(text, step)?)),
            None => (text, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((first, last)) => (self.value(text, first)?, self.last_value(text, last)?),
            None => {
                let value = self.value(text, range)?;
                if let Some(step) = step {
                    // Some crons ignore the step then, others count on to the largest value.
                    return Err(format!(
                        "{} {text:?} has a step without a range (write {value}-{}/{step})",
                        self.name, self.max
                    ));
                }
                (value, value)
            }
        };
        if first > last {
            return Err(format!("{} {text:?} ends before it begins", self.name));
        }
        let values = (first..=last).step_by(usize::from(step.unwrap_or(1)));
        let bits = values.map(|value| 1 << self.in_week(value));
        Ok(bits.fold(0, |all, bit: u64| all | bit))
    }

    /// Sunday is a value once.
    fn in_week(&self, value: u8) -> u8 {
        if self.max == DAY_OF_WEEK.max {
            value % 7
        } else {
            value
        }
    }

    fn step(&self, element: &str, text: &str) -> Result<u8, String> {
        // With a larger one the first value would be all, as with `*/90` for every 90 minutes.
        number(text, 1, self.max).ok_or_else(|| {
            format!(
                "{} {element:?} has a step that is not a number from 1 to {}",
                self.name, self.max
            )
        })
    }

    fn value(&self, element: &str, text: &str) -> Result<u8, String> {
        let mut names = (self.min..).zip(self.names);
        let named = names.find(|(_, name)| name.eq_ignore_ascii_case(text));
        let value = named
            .map(|(value, _)| value)
            .or_else(|| number(text, self.min, self.max));
        value.ok_or_else(|| {
            let or_names = match self.names {
                [first, .., last] => format!(" or a name from {first} to {last}"),
                _ => String::new(),
            };
            format!(
                "{} {element:?} must be a number from {} to {}{or_names}",
                self.name, self.min, self.max
            )
        })
    }

    /// The end of a range: the week of `fri-sun` ends with its Sunday.
    fn last_value(&self, element: &str, text: &str) -> Result<u8, String> {
        if text.eq_ignore_ascii_case(DAY_OF_WEEK.names[0]) && self.max == DAY_OF_WEEK.max {
            Ok(self.max)
        } else {
            self.value(element, text)
        }
    }
}

/// A number of digits only, which `parse` would let have a sign.
fn number(text: &str, min: u8, max: u8) -> Option<u8> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_digits)?;
    (min..=max).contains(&number).then_some(number)
}
