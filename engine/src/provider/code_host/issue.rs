//! Issues as tickets: one for each subject, in the repository that it was made in.

use super::{
    CodeHost, Looked, Made, Thread, comment_once, is_gone, issue_body, look_for, mark, must,
};
use crate::provider::{
    contract::{Call, Outgoing, Step, Ticket, Verdict, Wish},
    fold::Answers,
    ticket::{self, Aim, News, Told, Tracker},
};

/// An issue in the repository that it was made in, wherever events go since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) struct IssueId<'a> {
    /// The host's id of the repository.
    pub(in crate::provider) repository: &'a str,
    /// Its number there.
    pub(in crate::provider) number: &'a str,
}

impl<'a> IssueId<'a> {
    /// Reads what [`Self::to_text`] wrote.
    fn of(ticket: &'a Ticket) -> Option<Self> {
        let (repository, number) = ticket.external_id.split_once('#')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (is_number(repository) && is_number(number)).then_some(Self { repository, number })
    }

    fn to_text(self) -> String {
        format!("{}#{}", self.repository, self.number)
    }
}

/// The label by which a look-up finds our issues, and people as well.
pub(in crate::provider) const LABEL: &str = "deptex";

/// A host that keeps issues.
pub(in crate::provider) trait Issues: CodeHost {
    /// The host's id of the repository that events go to.
    fn repository(&self) -> &str;
    /// Makes an issue there.
    fn create(&self, out: &Outgoing<'_>, text: &str) -> Call;
    /// Lists a page of our issues there, the newest first.
    fn issues(&self, page: u32) -> Call;
    /// Reads an issue.
    fn issue(&self, issue: IssueId<'_>) -> Call;
    /// Closes an issue or opens it again; what it is already, it stays.
    fn set_open(&self, issue: IssueId<'_>, is_open: bool) -> Call;
}

/// Marks the commit and the pull request that the event names. Where it names none, or the subject's
/// ticket is to be closed, the ticket's life goes on.
pub(in crate::provider) fn deliver(
    host: &impl Issues,
    out: &Outgoing<'_>,
    answers: &mut Answers<'_, Step>,
) -> Told<Verdict> {
    let closes = out.wish == Wish::Close && out.ticket.is_some_and(|ticket| ticket.is_open);
    let marked = mark(host, out, !closes, answers)?;
    match marked {
        Some(marked) if !closes => Ok(Verdict::Delivered(marked)),
        marked => match (ticket::live(&Life { host, out }, out, answers)?, marked) {
            (Verdict::NothingToDo(_), Some(marked)) => Ok(Verdict::Delivered(marked)),
            (verdict, _) => Ok(verdict),
        },
    }
}

struct Life<'a, H> {
    host: &'a H,
    out: &'a Outgoing<'a>,
}

impl<H: Issues> Life<'_, H> {
    /// The event is in this issue. Without a number nothing more can be done with it.
    fn is_in(&self, made: Made) -> Verdict {
        if made.id.is_empty() {
            return Verdict::delivered();
        }
        let issue = IssueId { repository: self.host.repository(), number: &made.id };
        let ticket = Ticket {
            external_id: issue.to_text(),
            external_key: Some(format!("#{}", made.id)),
            url: made.url,
            is_open: made.is_open,
        };
        ticket::delivered(&ticket, ticket.is_open)
    }
}

/// Both hosts let an issue be closed and opened at any time, so that a step is only where it leads.
impl<H: Issues> Tracker for Life<'_, H> {
    type State = Made;
    type Way = Aim;

    fn open(&self, answers: &mut Answers<'_, Step>) -> Told<Verdict> {
        let mark = ticket::ticket_mark(self.out);
        if ticket::may_repeat(self.out) {
            let looked = look_for(self.host, &mark, |page| self.host.issues(page), answers)?;
            if let Looked::Found(made) = looked {
                return Ok(self.is_in(made));
            }
        }
        let text = issue_body(self.out, &self.host.hidden(&mark));
        let reply = answers.need(self.host.create(self.out, &text).creating())?;
        Ok(self.is_in(self.host.made(&reply.json())))
    }

    fn state(&self, answers: &mut Answers<'_, Step>, known: &Ticket) -> Told<Option<Made>> {
        let Some(issue) = IssueId::of(known) else { return Ok(None) };
        let reply = answers.ask(self.host.issue(issue))?;
        if is_gone(reply) {
            return Ok(None);
        }
        must(self.host, reply)?;
        let made = self.host.made(&reply.json());
        if made.id.is_empty() {
            return Err(Box::new(Verdict::retry(reply).into()));
        }
        Ok(Some(made))
    }

    fn is_done(state: &Made) -> bool {
        !state.is_open
    }

    fn way(
        &self,
        _answers: &mut Answers<'_, Step>,
        _known: &Ticket,
        _state: &Made,
        aim: Aim,
    ) -> Told<Option<Aim>> {
        Ok(Some(aim))
    }

    fn take(&self, answers: &mut Answers<'_, Step>, known: &Ticket, way: &Aim) -> Told<bool> {
        let Some(issue) = IssueId::of(known) else { return Ok(false) };
        answers.need(self.host.set_open(issue, *way == Aim::Open))?;
        Ok(true)
    }

    fn comment(&self, answers: &mut Answers<'_, Step>, known: &Ticket, news: News) -> Told<bool> {
        let Some(issue) = IssueId::of(known) else { return Ok(false) };
        let made = comment_once(self.host, self.out, Thread::Issue(issue), news, answers)?;
        Ok(made.is_some())
    }
}
