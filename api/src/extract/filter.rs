//! What PostgreSQL would refuse in a listing's filter, refused before it is asked.

use chrono::{DateTime, Datelike as _, Utc};

use crate::error::ApiError;

/// Whether PostgreSQL cannot be asked about it: its calendar is shorter than the one that the parser knows.
pub fn has_unusual_year(instant: DateTime<Utc>) -> bool {
    !(0..=9999).contains(&instant.year())
}

/// Refuses an instant of an unusual year. `name` is the parameter's.
pub fn check_instant(name: &str, instant: Option<DateTime<Utc>>) -> Result<(), ApiError> {
    if instant.is_some_and(has_unusual_year) {
        return Err(ApiError::Query(format!(
            "{name} must be of the years 0 to 9999"
        )));
    }
    Ok(())
}

/// Refuses text with control characters: what is listed has none, and PostgreSQL's text cannot hold a zero.
pub fn check_text(name: &str, text: Option<&str>) -> Result<(), ApiError> {
    if text.is_some_and(|text| text.chars().any(char::is_control)) {
        return Err(ApiError::Query(format!(
            "{name} must not hold control characters"
        )));
    }
    Ok(())
}
