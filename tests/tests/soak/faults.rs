//! Does what the plan says, at the time that it says.

use std::time::{Duration, Instant};

use tests::{Answer, Flow, Process, World};

use crate::plan::{Fault, ILL, Kind, What};

/// How often Postgres ends every session.
const AGAIN: Duration = Duration::from_secs(1);

/// One moment of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Begin,
    Again,
    End,
}

/// Plays a round: everything is as before when it returns, or about to be.
pub(crate) async fn play(world: &World, faults: &[Fault]) {
    let began = Instant::now();
    for (at, moment, what) in moments(faults) {
        tokio::time::sleep(at.saturating_sub(began.elapsed())).await;
        act(world, moment, what).await;
    }
}

fn moments(faults: &[Fault]) -> Vec<(Duration, Moment, What)> {
    let mut all = Vec::new();
    for fault in faults {
        let end = fault.at + fault.lasts;
        all.push((fault.at, Moment::Begin, fault.what));
        let mut again = fault.at + AGAIN;
        while again < end {
            all.push((again, Moment::Again, fault.what));
            again += AGAIN;
        }
        all.push((end, Moment::End, fault.what));
    }
    all.sort_by_key(|(at, ..)| *at);
    all
}

async fn act(world: &World, moment: Moment, what: What) {
    match (what, moment) {
        (What::EndSessions, Moment::Begin | Moment::Again) => end_sessions(world).await,
        (_, Moment::Again) | (What::EndSessions, Moment::End) => {}
        (What::Kill(kind, n), Moment::Begin) => process(world, kind, n).kill9(),
        (What::Kill(kind, n), Moment::End) => process(world, kind, n).restart(),
        (What::Freeze(kind, n), Moment::Begin) => process(world, kind, n).sigstop(),
        (What::Freeze(kind, n), Moment::End) => process(world, kind, n).sigcont(),
        (What::Line(flow), Moment::Begin) => world.proxy().set(flow),
        (What::Line(_), Moment::End) => world.proxy().set(Flow::Open),
        (What::Ill(n, illness), Moment::Begin) => {
            world.receiver.answer(ILL[n], [illness.answer()]);
        }
        (What::Ill(n, _), Moment::End) => world.receiver.answer(ILL[n], [Answer::ok()]),
    }
}

fn process(world: &World, kind: Kind, n: usize) -> &Process {
    match kind {
        Kind::Worker => &world.workers[n],
        Kind::Api => &world.apis[n],
    }
}

async fn end_sessions(world: &World) {
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'relay'",
    )
    .execute(world.sql())
    .await
    .expect("the tests' role may end sessions");
}
