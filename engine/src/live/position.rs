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
    /// Which database it is a place in: one that was restored from it is another one. 0: an earlier
    /// program did not say.
    pub(super) database: u32,
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
        // A cluster that went on from a backup has the identifier of the one before, and a timeline of
        // its own; a dump that was read into the same cluster has another number.
        let row = sqlx::query!(
            r#"select extract(epoch from clock_timestamp())::bigint as "at!",
                      (hashtextextended(concat_ws('/',
                          (select system_identifier from pg_control_system()),
                          left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
                          (select oid from pg_database where datname = current_database())), 0)
                       & 4294967295) as "database!""#
        )
        .fetch_one(connection)
        .await?;
        let database = u32::try_from(row.database).unwrap_or(u32::MAX).max(1);
        Ok(Self { database, at: row.at, seen })
    }

    /// Whether it is young enough, and of this database, to go on from it.
    pub(super) fn can_go_on_at(&self, now: &Self) -> bool {
        self.database == now.database
            && (0..=GOES_ON).contains(&(now.at.saturating_sub(self.at)))
            && !self.seen.is_foreign_to(&now.seen)
    }

    /// Whether there is little enough between this and `now` to be read at once.
    pub(super) fn is_near(&self, now: &Self) -> bool {
        now.seen.below.saturating_sub(self.seen.below) <= TRANSACTIONS_MAX
    }
}

/// `<database>-<seconds>-<below>-<open>.<open>`
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.database > 0 {
            write!(f, "{:08x}-", self.database)?;
        }
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
        let parts: Vec<&str> = text.splitn(4, '-').collect();
        let (database, [at, below, open]) = match parts[..] {
            [database, at, below, open] => {
                (u32::from_str_radix(database, 16).map_err(|_| NotAPosition)?, [at, below, open])
            }
            [at, below, open] => (0, [at, below, open]),
            _ => return Err(NotAPosition),
        };
        let open = open.split('.').filter(|text| !text.is_empty()).take(OPEN_MAX + 1).map(number);
        let open: Vec<i64> = open.collect::<Result<_, _>>()?;
        if open.len() > OPEN_MAX {
            return Err(NotAPosition);
        }
        let read = Self { database, at: number(at)?, seen: Seen { below: number(below)?, open } };
        // There is one way to write it, and that is ours.
        if read.to_string() == text { Ok(read) } else { Err(NotAPosition) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(at: i64, below: i64, open: &[i64]) -> Position {
        Position { database: 7, at, seen: Seen { below, open: open.to_vec() } }
    }

    #[test]
    fn its_text_says_it_all() {
        for (position, text) in [
            (position(1_700_000_000, 900, &[]), "00000007-1700000000-900-"),
            (position(1, 900, &[870, 899]), "00000007-1-900-870.899"),
            (Position { database: 0, ..position(1, 900, &[870]) }, "1-900-870"),
        ] {
            assert_eq!(position.to_string(), text);
            assert_eq!(text.parse(), Ok(position));
        }
    }

    #[test]
    fn other_text_is_none() {
        let many = format!("00000007-1-2-{}", "3.".repeat(OPEN_MAX + 1));
        let long = format!("00000007-1-{}-", "9".repeat(40));
        for text in [
            "",
            "1",
            "1-2",
            "00000007-1-2",
            "7-1-2-",
            "0000000g-1-2-",
            "00000007-a-2-",
            "00000007-1-b-",
            "00000007-1-2-c",
            "00000007--1-2-",
            "00000007-1-2-3-4",
            "00000007-1-+2-",
            "00000007-01-2-",
            "0000000A-1-2-",
            "00000007-1-2-3..4",
            &many,
            &long,
        ] {
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
        let foreign = Position { database: 8, ..position(1_000, 500, &[]) };
        assert!(!foreign.can_go_on_at(&now), "of another database, however far it has come");
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
