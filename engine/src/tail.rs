//! Reading what transactions committed, each once, in whatever order they end.
//!
//! Neither a row's time nor its id tells when it could first be seen: the transaction of an older one may
//! commit later. So a reader remembers which transactions had ended when it looked, as a Postgres
//! snapshot does, and next time asks for the rows of those that ended since. One that stays open for
//! hours holds nobody up, and is read when it ends.

use sqlx::PgConnection;

/// The transactions that ended before a moment: all below a number, but some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Every transaction from here on is new.
    pub(crate) below: i64,
    /// Those below that were still open.
    pub(crate) open: Vec<i64>,
}

/// The transactions whose rows are read next: those from `from` to before `until` that are not in
/// `open`, and the `late` ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) open: Vec<i64>,
    pub(crate) late: Vec<i64>,
    /// What is seen when these are read.
    pub(crate) after: Seen,
}

impl Seen {
    /// What has ended now, as this connection's next statement sees it at the latest.
    pub(crate) async fn now(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let row = sqlx::query!(
            r#"select pg_snapshot_xmax(s)::text::bigint as "below!",
                      array(select x::text::bigint from pg_snapshot_xip(s) x) as "open!"
               from pg_current_snapshot() s"#
        )
        .fetch_one(connection)
        .await?;
        Ok(Self { below: row.below, open: row.open })
    }

    /// Whether it tells of another database than `now`, such as the one that this was restored from.
    pub(crate) fn is_foreign_to(&self, now: &Self) -> bool {
        now.below < self.below
    }

    /// What ended between this and `now`, of at most `transactions_max` new ones.
    pub(crate) fn window(&self, now: &Self, transactions_max: i64) -> Window {
        let from = self.below;
        let until = now.below.min(from.saturating_add(transactions_max)).max(from);
        let still_open = |number: &&i64| now.open.contains(number);
        let late = self.open.iter().filter(|number| !still_open(number)).copied().collect();
        let open: Vec<i64> =
            now.open.iter().filter(|number| (from..until).contains(number)).copied().collect();
        let kept = self.open.iter().filter(still_open).chain(&open).copied().collect();
        Window { from, until, open, late, after: Self { below: until, open: kept } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Window {
        fn has(&self, number: i64) -> bool {
            let is_new = (self.from..self.until).contains(&number) && !self.open.contains(&number);
            is_new || self.late.contains(&number)
        }
    }

    fn seen(below: i64, open: &[i64]) -> Seen {
        Seen { below, open: open.to_vec() }
    }

    #[test]
    fn a_late_one_is_read_when_it_ends() {
        let first = seen(10, &[]).window(&seen(15, &[12]), 100);
        assert_eq!((first.from, first.until, &first.open[..]), (10, 15, &[12][..]));
        let second = first.after.window(&seen(16, &[12]), 100);
        assert!(second.late.is_empty() && !second.has(12) && second.has(15));
        let third = second.after.window(&seen(16, &[]), 100);
        assert_eq!((third.from, third.until, &third.late[..]), (16, 16, &[12][..]));
        assert_eq!(third.after, seen(16, &[]));
    }

    #[test]
    fn much_is_read_in_pieces() {
        let now = seen(1_000, &[7, 500]);
        let (mut at, mut pieces) = (seen(0, &[]), 0);
        while at != now {
            let window = at.window(&now, 300);
            assert!(window.until - window.from <= 300);
            (at, pieces) = (window.after, pieces + 1);
        }
        assert_eq!(pieces, 4);
    }

    #[test]
    fn numbers_that_went_back_are_noticed_and_read_nothing() {
        let before = seen(100, &[]);
        assert!(before.is_foreign_to(&seen(99, &[])) && !before.is_foreign_to(&seen(100, &[])));
        let window = before.window(&seen(50, &[20]), 10);
        assert_eq!((window.from, window.until), (100, 100));
    }

    proptest! {
        /// F16: transactions end in any order, looks are taken at any time and in pieces of any size:
        /// each is read exactly once, and never before it ended.
        #[test]
        fn f16_each_transaction_is_read_once(
            ends in proptest::collection::vec(0usize..60, 1..50),
            looks in proptest::collection::vec((0usize..60, 1i64..20), 0..40),
        ) {
            let mut looks = looks;
            looks.sort_unstable();
            // The last looks see everything ended.
            looks.extend((0..60).map(|_| (1_000, 3)));
            // Transaction n begins at moment n and ends so much later.
            let end = |number: usize| number + 1 + ends[number];
            let count = ends.len();
            let mut read = vec![0; count];
            let mut at = Seen::default();
            for (moment, pieces) in looks {
                let below = count.min(moment);
                let open = (0..below).filter(|&n| end(n) > moment).map(|n| n as i64).collect();
                let now = Seen { below: below as i64, open };
                prop_assert!(!at.is_foreign_to(&now));
                let window = at.window(&now, pieces);
                for (number, times) in read.iter_mut().enumerate() {
                    if window.has(number as i64) {
                        prop_assert!(end(number) <= moment);
                        *times += 1;
                    }
                }
                at = window.after;
            }
            prop_assert!(read.iter().all(|times| *times == 1), "{read:?}");
        }
    }
}
