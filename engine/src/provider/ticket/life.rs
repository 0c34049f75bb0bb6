//! The life of a ticket, the same at every service: made once a subject, commented on when the
//! finding is reported again, closed when it is resolved, opened again when it comes back.

use super::News;
use crate::provider::{Delivered, Outgoing, Step, Ticket, Verdict, Wish, fold::Answers};

/// What a part of the story comes to, or the step that it stops at.
pub(in crate::provider) type Told<T> = Result<T, Box<Step>>;

/// Where a ticket is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Aim {
    /// To a status that says that the work is done.
    Done,
    /// To one that says that it is to be done.
    Open,
}

/// What a service can do with tickets, for one event.
pub(in crate::provider) trait Tracker {
    /// What it says of a ticket.
    type State;
    /// A step of a ticket's own workflow.
    type Way;

    /// Makes the ticket, unless an earlier attempt did.
    fn open(&self, answers: &mut Answers<'_, Step>) -> Told<Verdict>;

    /// What the service says of a ticket; `None` if people removed it.
    fn state(&self, answers: &mut Answers<'_, Step>, known: &Ticket) -> Told<Option<Self::State>>;

    /// Whether that is a ticket on which nothing is left to do.
    fn is_done(state: &Self::State) -> bool;

    /// The best step of its workflow; `None` if there is none from where it is.
    fn way(
        &self,
        answers: &mut Answers<'_, Step>,
        known: &Ticket,
        state: &Self::State,
        aim: Aim,
    ) -> Told<Option<Self::Way>>;

    /// Takes a step; `false` if the service would not.
    fn take(&self, answers: &mut Answers<'_, Step>, known: &Ticket, way: &Self::Way) -> Told<bool>;

    /// Comments, unless an earlier attempt did; `false` if people removed the ticket.
    fn comment(&self, answers: &mut Answers<'_, Step>, known: &Ticket, news: News) -> Told<bool>;
}

/// Brings an event into its subject's ticket.
///
/// Without a destination everything waits, even what would be nothing: else a finding that waits
/// would outlive its own resolution.
pub(in crate::provider) fn live<T: Tracker>(
    tracker: &T,
    out: &Outgoing<'_>,
    answers: &mut Answers<'_, Step>,
) -> Told<Verdict> {
    match (out.destination, out.wish, out.ticket) {
        (None, ..) => Ok(Verdict::NoDestination),
        (_, Wish::Open, None) => tracker.open(answers),
        (_, Wish::Open, Some(known)) => found_again(tracker, known, answers),
        (_, Wish::Close, None) => Ok(Verdict::NothingToDo("no_ticket")),
        (_, Wish::Close, Some(known)) if known.is_open => close(tracker, known, answers),
        (_, Wish::Close, Some(_)) => Ok(Verdict::NothingToDo("already_closed")),
    }
}

/// People may have closed or opened the ticket, so its own state counts, not what we remember.
fn found_again<T: Tracker>(
    tracker: &T,
    known: &Ticket,
    answers: &mut Answers<'_, Step>,
) -> Told<Verdict> {
    let Some(state) = tracker.state(answers, known)? else { return tracker.open(answers) };
    let mut news = News::Again;
    if T::is_done(&state) {
        news = match tracker.way(answers, known, &state, Aim::Open)? {
            Some(way) if tracker.take(answers, known, &way)? => News::Reopened,
            _ => News::StaysClosed,
        };
    }
    match tracker.comment(answers, known, news)? {
        true => Ok(delivered(known, news != News::StaysClosed)),
        false => tracker.open(answers),
    }
}

/// The comment comes before the step: some workflows take none on closed tickets.
fn close<T: Tracker>(
    tracker: &T,
    known: &Ticket,
    answers: &mut Answers<'_, Step>,
) -> Told<Verdict> {
    let gone = Ok(Verdict::NothingToDo("ticket_gone"));
    let Some(state) = tracker.state(answers, known)? else { return gone };
    let (mut way, mut news) = (None, News::ClosedAlready);
    if !T::is_done(&state) {
        way = tracker.way(answers, known, &state, Aim::Done)?;
        news = if way.is_some() { News::Resolved } else { News::StaysOpen };
    }
    if !tracker.comment(answers, known, news)? {
        return gone;
    }
    match way {
        Some(way) if !tracker.take(answers, known, &way)? => {
            Ok(Verdict::Rejected("transition_refused".into()))
        }
        _ => Ok(delivered(known, news == News::StaysOpen)),
    }
}

/// The event is in this ticket.
pub(in crate::provider) fn delivered(ticket: &Ticket, is_open: bool) -> Verdict {
    let ticket = Ticket { is_open, ..ticket.clone() };
    Verdict::Delivered(Delivered {
        external_id: ticket.external_key.clone().or_else(|| Some(ticket.external_id.clone())),
        url: ticket.url.clone(),
        ticket: Some(ticket),
    })
}
