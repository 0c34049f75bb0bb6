//! How far a watcher has heard, as text that any process understands.

use std::{fmt, str::FromStr};

use sqlx::PgConnection;

use crate::tail::Seen;

/// For how long somebody may go on from a position, in seconds.
const GOES_ON: i64 = 5 * 60;
/// The most transactions between a position and where it goes on, so that a made-up one has nobody read
/// all that happened.
const TRANSACTIONS_MAX: i64 = 50_000;
/// The most transactions that can have been open. Text with more is none of ours.
const OPEN_MAX: usize = 1_000;

/// A place in what happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The database's time, in seconds since 1970.
    pub(super) at: i64,
    pub(super) seen: Seen,
}

/// Not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct NotAPosition;

impl Position {
    /// Where everything is seen that has ended by now.
    pub(super) async fn now(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let seen = Seen::now(connection).await?;
        let at =
            sqlx::query_scalar!(r#"select extract(epoch from clock_timestamp())::bigint as "at!""#)
                .fetch_one(connection)
                .await?;
        Ok(Self { at, seen })
    }

    /// Whether it is young enough, and of this database, to go on from it.
    pub(super) fn can_go_on_at(&self, now: &Self) -> bool {
        (0..=GOES_ON).contains(&(now.at.saturating_sub(self.at)))
            && !self.seen.is_foreign_to(&now.seen)
    }

    /// Whether there is little enough between this and `now` to be read at once.
    pub(super) fn is_near(&self, now: &Self) -> bool {
        now.seen.below.saturating_sub(self.seen.below) <= TRANSACTIONS_MAX
    }
}

/// `<seconds>-<below>-<open>.<open>`
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-", self.at, self.seen.below)?;
        for (place, number) in self.seen.open.iter().enumerate() {
            let dot = if place > 0 { "." } else { "" };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let number = |text: &str| match text.parse::<i64>() {
            Ok(number) if number >= 0 => Ok(number),
            _ => Err(NotAPosition),
        };
        let mut parts = text.splitn(3, '-');
        let (Some(at), Some(below), Some(open)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotAPosition);
        };
        let open = open.split('.').filter(|text| !text.is_empty()).take(OPEN_MAX + 1).map(number);
        let open: Vec<i64> = open.collect::<Result<_, _>>()?;
        if open.len() > OPEN_MAX {
            return Err(NotAPosition);
        }
        Ok(Self { at: number(at)?, seen: Seen { below: number(below)?, open } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(at: i64, below: i64, open: &[i64]) -> Position {
        Position { at, seen: Seen { below, open: open.to_vec() } }
    }

    #[test]
    fn its_text_says_it_all() {
        for (position, text) in [
            (position(1_700_000_000, 900, &[]), "1700000000-900-"),
            (position(1, 900, &[870, 899]), "1-900-870.899"),
        ] {
            assert_eq!(position.to_string(), text);
            assert_eq!(text.parse(), Ok(position));
        }
    }

    #[test]
    fn other_text_is_none() {
        let many = format!("1-2-{}", "3.".repeat(OPEN_MAX + 1));
        let long = format!("1-{}-", "9".repeat(40));
        for text in
            ["", "1", "1-2", "a-2-", "1-b-", "1-2-c", "-1-2-3", "1-2-3-4", "1-+2 -", &many, &long]
        {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
    }

    #[test]
    fn one_goes_on_only_from_a_young_one_of_this_database() {
        let now = position(1_000, 500, &[]);
        assert!(position(1_000, 500, &[]).can_go_on_at(&now));
        assert!(position(700, 1, &[]).can_go_on_at(&now));
        assert!(!position(699, 1, &[]).can_go_on_at(&now), "too old");
        assert!(!position(1_001, 1, &[]).can_go_on_at(&now), "of the future");
        assert!(!position(1_000, 501, &[]).can_go_on_at(&now), "of another database");
    }

    /// A made-up position costs no more than a true one.
    #[test]
    fn one_with_too_much_behind_it_is_not_near() {
        let now = position(1_000, TRANSACTIONS_MAX + 500, &[]);
        assert!(position(1_000, 500, &[]).is_near(&now));
        assert!(!position(1_000, 499, &[]).is_near(&now));
        assert!(!position(1_000, 0, &[499]).is_near(&now));
    }
}
