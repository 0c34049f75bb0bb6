//! Decides what follows from how a connection is doing. Pure: the row and the moment come in.
//!
//! Only what was tried counts. A connection has been failing from its first failure after a success
//! to its last one; the time after that is silence, and proves nothing. (Failures are written once a
//! minute, so of silence a minute is counted.) When the silence is longer than any retry could wait,
//! the mark expires: the next failure is a first one again.

use std::time::Duration;

use crate::{clock::Timestamp, connection::ConnectionEvent, ids::DeliveryId};

/// At how much of the time until it is switched off a connection's failing is told, in percent.
pub const WARNINGS: [u8; 3] = [50, 75, 90];
/// Why a connection was switched off that took nothing for too long.
pub const FAILING_TOO_LONG: &str = "failing_too_long";
/// After how much silence the mark expires: a day more than the longest wait between two attempts,
/// which is a day and a fifth of one.
pub(super) const QUIET_MAX: Duration = Duration::from_secs(53 * 60 * 60);

/// How much later than it is written a connection may have failed: that is written once a minute.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);

/// For how long a connection fails before it is told that deliveries are given up; a fiftieth of the
/// time until it is switched off, where that is less.
const LASTING: Duration = Duration::from_secs(60 * 60);

/// What is known of a connection in trouble.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// Whether anything is sent to it.
    pub(super) is_on: bool,
    pub(super) failing: Option<Failing>,
    /// Whether its receiver asked us to wait, and that time has not passed.
    pub(super) is_held: bool,
    /// Whether its breaker is open, or tried by a probe.
    pub(super) is_broken: bool,
}

/// A time of failing.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    pub(super) since: Timestamp,
    pub(super) last: Timestamp,
    /// The percentage that was told last; 0 for none.
    pub(super) warned: u8,
    /// Whether it was told that a delivery ran out of retries.
    pub(super) is_exhaustion_told: bool,
    /// A delivery that ran out of retries meanwhile.
    pub(super) exhausted: Option<DeliveryId>,
    /// Whether it took something since, and that is still to be told.
    pub(super) is_over: bool,
}

/// What is to be done about a connection.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Due {
    /// What is to be recorded of it.
    pub(super) events: Vec<ConnectionEvent>,
    /// Whether nothing is left to know.
    pub(super) is_forgotten: bool,
}

impl Due {
    pub(super) fn is_nothing(&self) -> bool {
        self.events.is_empty() && !self.is_forgotten
    }

    fn event(event: ConnectionEvent) -> Self {
        Self { events: vec![event], is_forgotten: false }
    }

    fn forgotten() -> Self {
        Self { events: Vec::new(), is_forgotten: true }
    }
}

/// What is to be done at this moment. `disable_after`: how long a connection may fail; `None` for as
/// long as it likes. Each thing is due once in a time of failing: what was done is in the row.
pub(super) fn due(standing: &Standing, now: Timestamp, disable_after: Option<Duration>) -> Due {
    if !standing.is_on {
        return Due::forgotten();
    }
    let Some(failing) = &standing.failing else {
        return if standing.is_held || standing.is_broken {
            Due::default()
        } else {
            Due::forgotten()
        };
    };
    if failing.is_over {
        return Due::event(ConnectionEvent::Recovered {});
    }
    if QUIET_MAX < span(failing.last, now) {
        // Whoever was told of it still has to hear of its end; a next failure begins anew.
        let is_told = failing.warned > 0 || failing.is_exhaustion_told;
        return if is_told { Due::default() } else { Due::forgotten() };
    }
    let failed = span(failing.since, now.min(failing.last + WRITTEN_EVERY));
    let percent = disable_after.map_or(0, |window| percent(failed, window));
    if percent >= 100 {
        return Due::event(ConnectionEvent::Disabled { reason: FAILING_TOO_LONG.to_owned() });
    }
    // One that fails every other time, and is tried once, would be told of all day.
    let is_lasting = failed >= disable_after.map_or(LASTING, |window| LASTING.min(window / 50));
    let exhausted = failing.exhausted.filter(|_| is_lasting && !failing.is_exhaustion_told);
    let exhausted = exhausted.map(|delivery_id| ConnectionEvent::Exhausted { delivery_id });
    // Of several that are reached at once only the last is told.
    let warning = WARNINGS.iter().rev().find(|at| u32::from(**at) <= percent);
    let warning = warning
        .filter(|at| failing.warned < **at)
        .map(|at| ConnectionEvent::Failing { percent: *at, failing_since: failing.since });
    Due { events: exhausted.into_iter().chain(warning).collect(), is_forgotten: false }
}

fn span(from: Timestamp, to: Timestamp) -> Duration {
    (to - from).to_std().unwrap_or_default()
}

fn percent(failed: Duration, window: Duration) -> u32 {
    let percent = failed.as_micros() * 100 / window.as_micros().max(1);
    u32::try_from(percent).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(5 * 24 * 60 * 60);
    const HOUR: i64 = 60;

    fn at(minutes: i64) -> Timestamp {
        let begin: Timestamp = "2026-02-25T12:00:00Z".parse().expect("a timestamp");
        begin + chrono::Duration::minutes(minutes)
    }

    /// A connection under virtual time: told of attempts, asked for what is due, and doing it as the
    /// engine does.
    struct Played {
        standing: Standing,
        told: Vec<(i64, ConnectionEvent)>,
    }

    impl Played {
        fn new() -> Self {
            let standing =
                Standing { is_on: true, failing: None, is_held: false, is_broken: false };
            Self { standing, told: Vec::new() }
        }

        fn fails(&mut self, minute: i64) {
            let fresh = Failing {
                since: at(minute),
                last: at(minute),
                warned: 0,
                is_exhaustion_told: false,
                exhausted: None,
                is_over: false,
            };
            let goes_on = |f: &Failing| !f.is_over && span(f.last, at(minute)) <= QUIET_MAX;
            match &mut self.standing.failing {
                Some(failing) if goes_on(failing) => failing.last = at(minute),
                failing => *failing = Some(fresh),
            }
            self.tended(minute);
        }

        fn succeeds(&mut self, minute: i64) {
            let was_told = |failing: &Failing| failing.warned > 0 || failing.is_exhaustion_told;
            let over = |failing| Failing { is_over: true, ..failing };
            self.standing.failing = self.standing.failing.take().filter(was_told).map(over);
            self.tended(minute);
        }

        fn tended(&mut self, minute: i64) {
            loop {
                let due = due(&self.standing, at(minute), Some(WINDOW));
                if due.is_nothing() {
                    return;
                }
                if due.is_forgotten {
                    self.standing.failing = None;
                    return;
                }
                for event in due.events {
                    let failing = self.standing.failing.as_mut().expect("something is failing");
                    match &event {
                        ConnectionEvent::Failing { percent, .. } => failing.warned = *percent,
                        ConnectionEvent::Exhausted { .. } => failing.is_exhaustion_told = true,
                        ConnectionEvent::Disabled { .. } => self.standing.is_on = false,
                        _ => self.standing.failing = None,
                    }
                    self.told.push((minute, event));
                }
                if !self.standing.is_on {
                    self.standing.failing = None;
                    return;
                }
            }
        }

        fn kinds(&self) -> Vec<String> {
            let name = |event: &ConnectionEvent| match event {
                ConnectionEvent::Failing { percent, .. } => format!("failing {percent}"),
                other => other.kind().trim_start_matches("connection.").to_owned(),
            };
            self.told.iter().map(|(_, event)| name(event)).collect()
        }
    }

    /// B26, B27: an attempt every hour, all in vain: warnings at their time, each once, then off.
    #[test]
    fn b26_b27_continuous_failure_is_told_three_times_and_then_switches_off() {
        let mut played = Played::new();
        for hour in 0..=200 {
            if played.standing.is_on {
                played.fails(hour * HOUR);
            }
        }
        assert_eq!(played.kinds(), ["failing 50", "failing 75", "failing 90", "disabled"]);
        let hours: Vec<i64> = played.told.iter().map(|(minute, _)| minute / HOUR).collect();
        assert_eq!(hours, [60, 90, 108, 120]);
        let first = ConnectionEvent::Failing { percent: 50, failing_since: at(0) };
        assert_eq!(played.told[0].1, first);
    }

    /// B26: one success in between, and all begins anew.
    #[test]
    fn b26_a_sporadic_success_resets_the_mark() {
        let mut played = Played::new();
        for hour in 0..1_000 {
            if hour % 59 == 58 { played.succeeds(hour * HOUR) } else { played.fails(hour * HOUR) }
        }
        assert!(played.told.is_empty() && played.standing.is_on, "{:?}", played.told);
    }

    /// B27: who was warned hears that it is over, once; a later failing is told anew.
    #[test]
    fn b27_a_recovery_is_told_once_and_only_to_those_who_were_warned() {
        let mut played = Played::new();
        for hour in 0..=70 {
            played.fails(hour * HOUR);
        }
        played.succeeds(71 * HOUR);
        played.succeeds(72 * HOUR);
        played.fails(73 * HOUR);
        played.succeeds(74 * HOUR);
        assert_eq!(played.kinds(), ["failing 50", "recovered"]);
        for hour in 75..=140 {
            played.fails(hour * HOUR);
        }
        assert_eq!(played.kinds(), ["failing 50", "recovered", "failing 50"]);
    }

    /// B26: after more silence than any retry could make, nothing is known any more.
    #[test]
    fn b26_the_mark_expires_when_nothing_was_tried_for_long() {
        let mut played = Played::new();
        played.fails(0);
        // The longest wait between two attempts is not silence.
        played.fails(28 * HOUR + 48);
        assert_eq!(played.standing.failing.as_ref().map(|failing| failing.since), Some(at(0)));
        played.tended((28 + 53) * HOUR + 48);
        assert!(played.standing.failing.is_some());
        played.tended((28 + 53) * HOUR + 49);
        assert!(played.standing.failing.is_none());
        played.fails(200 * HOUR);
        // The same where nobody looked meanwhile.
        played.fails(300 * HOUR);
        assert!(played.told.is_empty() && played.standing.is_on, "it is a first failure again");
    }

    /// Silence proves nothing: a connection that nothing was sent to is not switched off by the clock.
    #[test]
    fn b26_time_in_which_nothing_was_tried_does_not_count() {
        let mut played = Played::new();
        played.fails(0);
        played.fails(24 * HOUR);
        for hour in 24..(24 + 53) {
            played.tended(hour * HOUR);
        }
        assert!(played.told.is_empty(), "{:?}", played.told);
    }

    /// B27: the first delivery that runs out of retries is told, and no other of that time.
    #[test]
    fn b27_the_first_delivery_that_runs_out_of_retries_is_told_once() {
        let delivery = |n: u128| DeliveryId(uuid::Uuid::from_u128(n));
        let mut played = Played::new();
        played.fails(0);
        for n in 1..4 {
            let failing = played.standing.failing.as_mut().expect("it fails");
            failing.exhausted = Some(delivery(n));
            played.fails(i64::try_from(n).expect("small") * HOUR);
        }
        assert_eq!(played.told, [(HOUR, ConnectionEvent::Exhausted { delivery_id: delivery(1) })]);
        played.succeeds(5 * HOUR);
        assert_eq!(played.kinds(), ["deliveries_exhausted", "recovered"]);
    }

    #[test]
    fn of_warnings_that_are_reached_at_once_only_the_last_is_told() {
        let mut played = Played::new();
        for hour in [0, 50, 100, 101, 119] {
            played.fails(hour * HOUR);
        }
        assert_eq!(played.kinds(), ["failing 75", "failing 90"]);
    }

    #[test]
    fn without_a_window_nothing_is_switched_off_and_nobody_warned() {
        let mut played = Played::new();
        played.fails(0);
        let failing = played.standing.failing.as_mut().expect("it fails");
        failing.last = at(1_000 * HOUR);
        assert!(due(&played.standing, at(1_000 * HOUR), None).is_nothing());
    }

    /// Failures are written once a minute: windows of seconds, as in tests, go by the clock.
    #[test]
    fn a_window_of_less_than_a_minute_is_counted_by_the_clock() {
        let mut played = Played::new();
        played.fails(0);
        let later = at(0) + chrono::Duration::seconds(6);
        let ten = Duration::from_secs(10);
        let expected = ConnectionEvent::Failing { percent: 50, failing_since: at(0) };
        assert_eq!(due(&played.standing, later, Some(ten)).events, [expected]);
        let much_later = at(30);
        let due = due(&played.standing, much_later, Some(Duration::from_secs(70)));
        assert_eq!(due.events.len(), 1, "of a long silence a minute counts: {due:?}");
        assert_eq!(due.events[0].kind(), "connection.failing");
    }

    #[test]
    fn what_is_off_or_no_longer_in_trouble_is_forgotten() {
        let standing = Standing { is_on: true, failing: None, is_held: true, is_broken: false };
        assert!(due(&standing, at(0), Some(WINDOW)).is_nothing());
        let over = Standing { is_held: false, ..standing.clone() };
        assert_eq!(due(&over, at(0), Some(WINDOW)), Due::forgotten());
        let off = Standing { is_on: false, is_held: true, ..standing };
        assert_eq!(due(&off, at(0), Some(WINDOW)), Due::forgotten());
    }
}
