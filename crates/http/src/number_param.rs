//! Numbers in URLs.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use crate::error::ApiError;

/// What the number `name` may be. `unit` is empty or such as ` of seconds`.
pub(crate) fn allowed<N: Display>(name: &str, range: &RangeInclusive<N>, unit: &str) -> String {
    let (least, most) = (range.start(), range.end());
    format!("{name} is a whole number{unit} from {least} to {most}")
}

/// Reads `text` as the number `name`. Refused, with what is allowed: what is not in `range`.
pub(crate) fn in_range<N: FromStr + PartialOrd + Display>(
    name: &str,
    text: &str,
    range: &RangeInclusive<N>,
    unit: &str,
) -> Result<N, ApiError> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| ApiError::invalid(allowed(name, range, unit)))
}
