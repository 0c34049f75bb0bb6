//! Tests of turns, with a clock that is moved by hand.

use super::*;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);

fn payer(connection: u128, shared_by: SharedBy, burst: u32) -> Payer {
    let budget = |shared_by, id| Budget { provider: "slack", shared_by, id };
    Payer {
        connection_id: Uuid::from_u128(connection).into(),
        pace: Pace { burst, count: 1, per: SECOND, shared_by },
        budgets: [
            budget(SharedBy::Destination, format!("{connection}|C1")),
            budget(SharedBy::Installation, "T1".into()),
            budget(SharedBy::Provider, String::new()),
        ],
        is_shared: shared_by != SharedBy::Destination,
    }
}

fn delivery(n: u128) -> DeliveryId {
    Uuid::from_u128(n).into()
}

fn later(wait: Duration) -> Turn {
    Turn::Later { wait, is_held: false }
}

/// A backlog of hours takes no more than half a minute of turns that others share with it.
#[test]
fn turns_are_kept_for_half_a_minute_and_no_longer() {
    let (paces, start) = (Paces::default(), Instant::now());
    let (loud, quiet) = (payer(1, SharedBy::Provider, 1), payer(2, SharedBy::Provider, 1));
    for n in 0..1_000 {
        paces.turn(&loud, delivery(n), start);
    }
    let Turn::Later { wait, .. } = paces.turn(&quiet, delivery(5_000), start) else {
        panic!("the half minute is taken")
    };
    assert!(wait <= HORIZON, "{wait:?}");
    // Once that time is over, whoever asks first has the turn.
    let after = start + HORIZON + SECOND;
    assert_eq!(paces.turn(&quiet, delivery(5_001), after), Turn::Go(Duration::ZERO));
}

/// However long a backlog is, its own budget is used to the full.
#[test]
fn a_long_backlog_flows_at_its_pace() {
    let (paces, start) = (Paces::default(), Instant::now());
    let payer = payer(1, SharedBy::Destination, 1);
    let mut asking: std::collections::BTreeSet<(Instant, u128)> =
        (0..200).map(|n| (start, n)).collect();
    let mut sent = 0;
    while let Some((now, n)) = asking.pop_first().filter(|(now, _)| *now <= start + SECOND * 200) {
        match paces.turn(&payer, delivery(n), now) {
            Turn::Go(_) => sent += 1,
            Turn::Later { wait, .. } => {
                asking.insert((now + wait, n));
            }
        }
    }
    assert!(sent >= 190, "{sent} of 200 in 200 seconds");
}

#[test]
fn a_backlog_is_put_in_order_once_and_each_comes_back_to_its_own_turn() {
    let (paces, start) = (Paces::default(), Instant::now());
    let payer = payer(1, SharedBy::Destination, 1);
    for n in 0..5 {
        let expected = if n == 0 { Turn::Go(Duration::ZERO) } else { later(SECOND * n) };
        assert_eq!(paces.turn(&payer, delivery(n.into()), start), expected);
    }
    for n in 1..5 {
        let at = start + SECOND * n;
        assert_eq!(paces.turn(&payer, delivery(n.into()), at), Turn::Go(Duration::ZERO));
    }
    // Somebody new comes after all of them; who comes too early is sent back to the same moment.
    assert_eq!(paces.turn(&payer, delivery(9), start + SECOND), later(SECOND * 4));
    assert_eq!(paces.turn(&payer, delivery(9), start + SECOND * 2), later(SECOND * 3));
}

#[test]
fn a_burst_goes_at_once_and_a_short_wait_is_waited_out() {
    let (paces, start) = (Paces::default(), Instant::now());
    let payer = payer(1, SharedBy::Destination, 3);
    for n in 0..3 {
        assert_eq!(paces.turn(&payer, delivery(n), start), Turn::Go(Duration::ZERO));
    }
    let soon = start + Duration::from_millis(800);
    assert_eq!(paces.turn(&payer, delivery(3), soon), Turn::Go(Duration::from_millis(200)));
}

#[test]
fn b23_a_hold_reaches_all_who_share_the_budget_and_ends_without_a_burst() {
    let (paces, start) = (Paces::default(), Instant::now());
    let (one, other) = (payer(1, SharedBy::Destination, 10), payer(2, SharedBy::Destination, 10));
    paces.hold(&one, SharedBy::Installation, SECOND * 30, start);
    paces.hold(&one, SharedBy::Installation, SECOND * 10, start);
    for n in 0..3 {
        let expected = Turn::Later { wait: SECOND * (30 + n), is_held: true };
        assert_eq!(paces.turn(&other, delivery(n.into()), start), expected);
    }
    assert_eq!(paces.held_for(&one, start + SECOND), Some(SECOND * 29));
    let mut held = paces.held(start + SECOND);
    held.sort_unstable();
    assert_eq!(held, [one.connection_id, other.connection_id], "the pump claims nothing for them");
    let end = start + SECOND * 30;
    assert_eq!(paces.turn(&other, delivery(0), end), Turn::Go(Duration::ZERO));
    assert!(paces.held(end).is_empty());
    assert_eq!(paces.held_for(&one, end), None);
}

#[test]
fn another_destination_of_the_installation_is_not_held_with_the_first() {
    let (paces, start) = (Paces::default(), Instant::now());
    let one = payer(1, SharedBy::Destination, 1);
    paces.hold(&one, SharedBy::Destination, SECOND * 30, start);
    let other = payer(2, SharedBy::Destination, 1);
    assert_eq!(paces.turn(&other, delivery(1), start), Turn::Go(Duration::ZERO));
}

#[test]
fn after_an_outage_those_who_missed_their_turn_do_not_come_together() {
    let (paces, start) = (Paces::default(), Instant::now());
    let payer = payer(1, SharedBy::Destination, 1);
    for n in 0..10 {
        paces.turn(&payer, delivery(n), start);
    }
    let back = start + SECOND * 600;
    assert_eq!(paces.turn(&payer, delivery(1), back), Turn::Go(Duration::ZERO));
    assert_eq!(paces.turn(&payer, delivery(2), back), later(SECOND));
    assert_eq!(paces.turn(&payer, delivery(3), back), later(SECOND * 2));
}

#[test]
fn a_turn_costs_as_many_calls_as_deliveries_lately_made() {
    let (paces, start) = (Paces::default(), Instant::now());
    let payer = payer(1, SharedBy::Installation, 1);
    for _ in 0..200 {
        paces.spent(&payer, 3, start);
    }
    paces.turn(&payer, delivery(1), start);
    let Turn::Later { wait, .. } = paces.turn(&payer, delivery(2), start) else {
        panic!("it may not go");
    };
    assert!((wait.as_secs_f64() - 3.0).abs() < 0.01, "{wait:?}");
}

#[test]
fn a_turn_that_was_given_back_is_still_there() {
    let (paces, start) = (Paces::default(), Instant::now());
    let payer = payer(1, SharedBy::Destination, 1);
    assert_eq!(paces.turn(&payer, delivery(1), start), Turn::Go(Duration::ZERO));
    paces.give_back(delivery(1), start, SECOND * 2);
    assert_eq!(paces.turn(&payer, delivery(1), start + SECOND * 2), Turn::Go(Duration::ZERO));
    assert_eq!(paces.turn(&payer, delivery(1), start + SECOND * 2), Turn::Go(Duration::ZERO));
}

#[test]
fn no_pace_is_kept_where_a_receiver_sets_its_own() {
    let (paces, start) = (Paces::default(), Instant::now());
    let mut payer = payer(1, SharedBy::Destination, 1);
    payer.pace = Pace::AS_FAST_AS_IT_ANSWERS;
    for n in 0..10_000 {
        assert_eq!(paces.turn(&payer, delivery(n), start), Turn::Go(Duration::ZERO));
    }
}

/// How many calls a process makes in a span, having more to send than that all the time.
fn calls(paces: &Paces, payer: &Payer, from: Instant, until: Instant) -> u32 {
    let mut asking: std::collections::BTreeSet<(Instant, u128)> =
        (0..300).map(|n| (from, n)).collect();
    let mut made = 0;
    while let Some((now, n)) = asking.pop_first().filter(|(now, _)| *now < until) {
        match paces.turn(payer, delivery(n), now) {
            Turn::Go(_) => made += 1,
            Turn::Later { wait, .. } => drop(asking.insert((now + wait, n))),
        }
    }
    made
}

/// B30: processes that share a budget stay within it together, but for one call of each. Who comes
/// later counts from the next turn on that is given.
#[test]
fn b30_processes_together_stay_within_a_shared_budget() {
    const BURST: u32 = 5;
    let (start, end) = (Instant::now(), Instant::now() + SECOND * 60);
    for workers in [1, 2, 3, 7, 64] {
        for shared_by in [SharedBy::Installation, SharedBy::Provider] {
            let payer = payer(1, shared_by, BURST);
            let of_one = |_| {
                let paces = Paces::default();
                paces.share_among(workers as usize);
                calls(&paces, &payer, start, end)
            };
            let total: u32 = (0..workers).map(of_one).sum();
            assert!(total <= 61 + BURST.max(workers), "{total} calls by {workers} in a minute");
            assert!(total >= 50, "{total} calls by {workers} in a minute");
        }
    }
    let (paces, payer) = (Paces::default(), payer(1, SharedBy::Provider, 1));
    paces.share_among(1);
    paces.turn(&payer, delivery(1_000), start);
    paces.share_among(4);
    assert!((14..=17).contains(&calls(&paces, &payer, start, end)), "a quarter of a minute's 60");
}

/// A destination belongs to one connection, and that to one process: nothing of it is given away.
#[test]
fn b30_a_destination_s_pace_is_whole_in_its_process() {
    let (paces, start) = (Paces::default(), Instant::now());
    paces.share_among(8);
    let payer = payer(1, SharedBy::Destination, 1);
    assert_eq!(paces.turn(&payer, delivery(1), start), Turn::Go(Duration::ZERO));
    assert_eq!(paces.turn(&payer, delivery(2), start), later(SECOND));
}
