//! How attempts can end, each with what a worker would write of it.

use std::time::Instant;

use engine::{
    delivery::{Settlement, attempt::Settled, exchange::Exchange},
    http::{Failure, SendError},
    outbox::Claimed,
    provider::{Delivered, Verdict},
    schedule,
};

/// How an attempt went.
#[derive(Clone, Debug)]
pub(super) enum Judged {
    By(Verdict, Option<u16>),
    /// It is put off, after a request or before any.
    Waits(Option<u16>),
}

/// Every verdict there is, with the answer that led to it.
pub(super) fn verdicts() -> [Judged; 18] {
    let retry = Verdict::Retry { after: None, hold: None };
    [
        Judged::By(Verdict::Delivered(Delivered::default()), Some(200)),
        Judged::By(retry.clone(), Some(503)),
        Judged::By(retry.clone(), Some(429)),
        // The most usual ones more often.
        Judged::By(Verdict::Delivered(Delivered::default()), Some(204)),
        Judged::By(Verdict::Delivered(Delivered::default()), Some(200)),
        Judged::By(retry, None),
        Judged::By(Verdict::NothingToDo("said_already"), None),
        Judged::By(Verdict::Unauthorized, Some(401)),
        Judged::By(Verdict::Reauth("invalid_grant".into()), Some(400)),
        Judged::By(Verdict::Suspended("account_inactive"), Some(403)),
        Judged::By(Verdict::Disconnected("account_gone"), Some(404)),
        Judged::By(Verdict::WrongDestination("not_in_channel".into()), Some(404)),
        Judged::By(Verdict::Rejected("invalid".into()), Some(400)),
        Judged::By(Verdict::Gone, Some(410)),
        Judged::By(Verdict::OperatorFault("bad_client"), None),
        Judged::By(Verdict::NoDestination, None),
        Judged::Waits(None),
        Judged::Waits(Some(429)),
    ]
}

pub(super) fn answered(status: u16) -> Exchange {
    let error = SendError { failure: Failure::Timeout, detail: String::new() };
    let mut exchange = Exchange::failed(Instant::now(), &error);
    (exchange.status, exchange.error_class, exchange.error) = (Some(status), None, None);
    exchange
}

pub(super) fn blank(claimed: Claimed) -> Settled {
    Settled {
        claimed,
        settlement: Settlement::Delivered,
        leaves_lane: false,
        exchange: None,
        verdict: None,
        details: None,
        code: None,
        external_id: None,
        external_url: None,
        ticket: None,
        consequence: None,
        others: Vec::new(),
        connection_version: 0,
        outcome: schedule::Outcome::Nothing,
    }
}
