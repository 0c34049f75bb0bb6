//! Reads the filters of a list from its query string; one that does not exist is refused by name. And
//! what every page is answered with.

use chrono::{DateTime, Utc};

use crate::{error::ApiError, extract::filter};

pub(crate) const A_UUID: &str = "a UUID";
pub(crate) const AN_INSTANT: &str = "an instant such as 2026-02-25T12:00:00Z";
pub(crate) const A_CURSOR: &str = "the next_cursor of a page";

/// Hands each filter that is set to `take`, which says whether it knows that name.
pub(crate) fn read(
    query: Option<&str>,
    mut take: impl FnMut(&str, &str) -> Result<bool, ApiError>,
) -> Result<(), ApiError> {
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        // An empty one is what a form sends for a filter that is not set.
        if value.is_empty() || take(&name, &value)? {
            continue;
        }
        let name: String = name.chars().filter(|c| !c.is_control()).take(50).collect();
        let message = format!("There is no filter named {name}");
        return Err(ApiError::unprocessable("unknown_filter", message));
    }
    Ok(())
}

pub(crate) fn instant(name: &str, value: &str) -> Result<DateTime<Utc>, ApiError> {
    // An unescaped `+` of an offset arrives as a space.
    let value = value.replace(' ', "+");
    filter::<DateTime<chrono::FixedOffset>>(name, &value, AN_INSTANT).map(|at| at.to_utc())
}

/// How many items a page may have: from 1 to `max`.
pub(crate) fn limit(name: &str, value: &str, max: u16) -> Result<u16, ApiError> {
    let expected = format!("a number from 1 to {max}");
    let limit = filter(name, value, &expected)?;
    if (1..=max).contains(&limit) {
        return Ok(limit);
    }
    let message = format!("{name} must be {expected}");
    Err(ApiError::unprocessable("invalid_filter", message))
}

/// A text that Postgres can look for.
pub(crate) fn text(name: &str, value: &str) -> Result<String, ApiError> {
    if value.contains('\0') {
        let message = format!("{name} must not hold the null character");
        return Err(ApiError::unprocessable("invalid_filter", message));
    }
    Ok(value.to_owned())
}

/// The items of a page as they are shown, and the cursor of the next one.
pub(crate) fn page<T, Shown: From<T>>(
    items: Vec<T>,
    next: Option<impl ToString>,
) -> (Vec<Shown>, Option<String>) {
    (items.into_iter().map(Shown::from).collect(), next.map(|next| next.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &str) -> Result<Vec<String>, String> {
        let mut seen = Vec::new();
        let known = |name: &str, value: &str| {
            seen.push(format!("{name}={value}"));
            Ok(name == "known")
        };
        read(Some(query), known).map_err(|error| error.message)?;
        Ok(seen)
    }

    #[test]
    fn what_is_not_known_is_refused_by_name_and_what_is_empty_is_not_set() {
        assert_eq!(
            names("known=1&known=a%20b&known="),
            Ok(vec!["known=1".into(), "known=a b".into()])
        );
        assert_eq!(names(""), Ok(vec![]));
        assert_eq!(names("a%1bb=7"), Err("There is no filter named ab".into()));
    }

    #[test]
    fn a_limit_has_both_ends() {
        assert_eq!(limit("limit", "1", 200).ok(), Some(1));
        assert_eq!(limit("limit", "200", 200).ok(), Some(200));
        for value in ["0", "201", "-1", "x", "99999999"] {
            let error = limit("limit", value, 200).expect_err(value);
            assert_eq!(
                (error.code, error.message.as_str()),
                ("invalid_filter", "limit must be a number from 1 to 200")
            );
        }
    }

    #[test]
    fn an_instant_may_come_with_its_plus_unescaped() {
        let read = instant("since", "2026-02-25T12:00:00 01:00").ok();
        assert_eq!(read, "2026-02-25T11:00:00Z".parse().ok());
        assert!(
            instant("since", "yesterday")
                .is_err_and(|error| error.message.starts_with("since must be"))
        );
        assert!(text("event", "a\0b").is_err());
    }
}
