//! What the ticketing services share: the life of a ticket, the marks by which a repeat finds what it
//! made before, and the words of a ticket before they are put into any markup.

mod life;

use uuid::Uuid;

use super::{
    Outgoing, Reply, Wish,
    text::{self, CUT, Message},
};
use crate::event::Severity;

pub(super) use life::{Aim, Told, Tracker, delivered, live};

/// The kinds of events that become tickets, unless an admin says otherwise.
pub(super) const EVENT_TYPES: &[&str] = &["vulnerability.*", "malicious.*", "policy.violation"];
/// What the link says.
pub(super) const LINK: &str = "View in Deptex";
/// How long the title of a ticket may be.
pub(super) const TITLE_CHARS_MAX: usize = 255;
/// How long the sentence about the event may be; far below what any of the services takes.
const TEXT_CHARS_MAX: usize = 4_000;

/// Whether an earlier attempt may have made what this one is about to make: it may have arrived
/// unheard, or have failed between a comment and the step after it.
pub(super) fn may_repeat(out: &Outgoing<'_>) -> bool {
    out.may_have_arrived() || out.attempt > 1 || out.replay
}

/// What the mark of a new ticket is made of. A ticket that takes the place of one that people
/// removed gets another mark, since services keep the old one's for a while.
pub(super) fn ticket_key(out: &Outgoing<'_>) -> Uuid {
    match out.ticket {
        None => out.ticket_key(),
        Some(removed) => Uuid::new_v5(&out.ticket_key(), removed.external_id.as_bytes()),
    }
}

/// The mark of a new ticket.
pub(super) fn ticket_mark(out: &Outgoing<'_>) -> String {
    format!("deptex-{}", ticket_key(out).simple())
}

/// The mark of this delivery's comment, also part of its link.
pub(super) fn comment_mark(out: &Outgoing<'_>) -> String {
    format!("deptex-{}", out.delivery_id.0.simple())
}

/// Whether an answer has a mark in it, wherever.
pub(super) fn holds(reply: &Reply, mark: &str) -> bool {
    reply.body.windows(mark.len()).any(|bytes| bytes == mark.as_bytes())
}

/// The same id in the shape of a random one, for services that take no other.
pub(super) fn as_v4(id: Uuid) -> Uuid {
    uuid::Builder::from_random_bytes(id.into_bytes()).into_uuid()
}

/// What became of a ticket, in the words of its comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A ticket of its own needs no introduction.
    Opened,
    /// It was open already.
    Again,
    /// It was closed and is open again.
    Reopened,
    /// It was closed and stays so.
    StaysClosed,
    /// It is being closed.
    Resolved,
    /// It should be closed and cannot be.
    StaysOpen,
    /// People closed it before we could.
    ClosedAlready,
}

impl News {
    fn sentence(self) -> Option<&'static str> {
        match self {
            Self::Opened => None,
            Self::Again => Some("Reported again."),
            Self::Reopened => Some("Found again, so Deptex reopened this ticket."),
            Self::StaysClosed => {
                Some("Found again, but the workflow offers no step that reopens this ticket.")
            }
            Self::Resolved => Some("Deptex closes this ticket."),
            Self::StaysOpen => Some("The workflow offers no step that closes this ticket."),
            Self::ClosedAlready => Some("This ticket is closed already."),
        }
    }
}

/// The words of a ticket or a comment. Plain text: each service puts them into its own markup.
#[derive(Debug)]
pub(super) struct Words {
    /// How bad it is.
    pub(super) severity: Severity,
    /// The same as a coloured sign, or good news.
    pub(super) symbol: &'static str,
    /// How bad it is, `Critical`, or `Resolved`.
    pub(super) state: &'static str,
    /// One line, the severity first.
    pub(super) title: String,
    /// What became of the ticket.
    pub(super) news: Option<&'static str>,
    /// What happened, in a sentence.
    pub(super) text: String,
    /// Facts with their names.
    pub(super) facts: Vec<(&'static str, String)>,
    /// The page of Deptex to look at, ending in the delivery's mark.
    pub(super) url: String,
}

impl Words {
    /// The words of an event.
    pub(super) fn of(out: &Outgoing<'_>, news: News) -> Self {
        let message = Message::of(out);
        Self {
            severity: message.severity,
            symbol: message.symbol,
            state: match out.wish {
                Wish::Open => message.severity_word(),
                Wish::Close => "Resolved",
            },
            title: text::clip(&severity_first(&message), TITLE_CHARS_MAX, CUT),
            news: news.sentence(),
            text: text::clip(&message.text, TEXT_CHARS_MAX, CUT),
            facts: message.lines,
            url: format!("{}#{}", message.url, comment_mark(out)),
        }
    }
}

fn severity_first(message: &Message) -> String {
    let (severity, title) = (message.severity_word(), &message.title);
    let said = title.get(..severity.len()).is_some_and(|t| t.eq_ignore_ascii_case(severity));
    match message.severity {
        Severity::Info => title.clone(),
        _ if said => title.clone(),
        _ => format!("{severity}: {title}"),
    }
}

#[cfg(test)]
pub(super) mod fixture;
#[cfg(test)]
mod tests;
