//! Lets a fold over answers be told as a story: ask, and go on with the answer.
//!
//! Such a story is told again from its beginning after each answer. Up to the first call that has
//! no answer yet it runs through; that call is then the next step.

use std::{marker::PhantomData, slice};

use super::{AccountStep, Call, CheckStep, PickStep, Reply, Step, Verdict};

/// The answers that came so far, handed out in the order that their calls are made in.
pub(super) struct Answers<'a, S> {
    left: slice::Iter<'a, Reply>,
    verdict: fn(&Reply) -> Verdict,
    step: PhantomData<S>,
}

impl<'a, S: From<Call>> Answers<'a, S> {
    /// Answers of a service whose refusals `verdict` understands.
    pub(super) fn new(replies: &'a [Reply], verdict: fn(&Reply) -> Verdict) -> Self {
        Self { left: replies.iter(), verdict, step: PhantomData }
    }

    /// The answer to a call, whatever it says; the call as the next step, where it has none yet.
    pub(super) fn ask(&mut self, call: Call) -> Result<&'a Reply, Box<S>> {
        self.left.next().ok_or_else(|| Box::new(call.into()))
    }
}

impl<'a, S: From<Call> + From<Verdict>> Answers<'a, S> {
    /// The answer to a call that must succeed; what the refusal means, where it did not.
    pub(super) fn need(&mut self, call: Call) -> Result<&'a Reply, Box<S>> {
        let reply = self.ask(call)?;
        match (self.verdict)(reply) {
            Verdict::Delivered(_) => Ok(reply),
            refusal => Err(Box::new(refusal.into())),
        }
    }

    /// As [`Self::need`], but `None` where the thing that was asked about is not there.
    pub(super) fn find(&mut self, call: Call) -> Result<Option<&'a Reply>, Box<S>> {
        let reply = self.ask(call)?;
        match (self.verdict)(reply) {
            Verdict::Delivered(_) => Ok(Some(reply)),
            Verdict::WrongDestination(code) if code == NOT_FOUND => Ok(None),
            refusal => Err(Box::new(refusal.into())),
        }
    }
}

/// The code by which a verdict says that something is not there.
pub(super) const NOT_FOUND: &str = "not_found";

/// The end of a story, or the step that it stopped at.
pub(super) fn told<S>(story: Result<S, Box<S>>) -> S {
    story.unwrap_or_else(|step| *step)
}

impl From<Call> for Step {
    fn from(call: Call) -> Self {
        Self::Call(call)
    }
}

impl From<Verdict> for Step {
    fn from(verdict: Verdict) -> Self {
        Self::End(verdict)
    }
}

impl From<Call> for AccountStep {
    fn from(call: Call) -> Self {
        Self::Call(call)
    }
}

impl From<Call> for PickStep {
    fn from(call: Call) -> Self {
        Self::Call(call)
    }
}

impl From<Verdict> for PickStep {
    fn from(verdict: Verdict) -> Self {
        Self::Refused(verdict)
    }
}

impl From<Call> for CheckStep {
    fn from(call: Call) -> Self {
        Self::Call(call)
    }
}

impl From<Verdict> for CheckStep {
    fn from(verdict: Verdict) -> Self {
        Self::Refused(verdict)
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn reply(status: u16) -> Reply {
        let at = "2026-02-25T12:00:00Z".parse().expect("a timestamp");
        Reply { status, headers: HeaderMap::new(), body: bytes::Bytes::new(), at }
    }

    fn call(path: &str) -> Call {
        Call::get(url::Url::parse(&format!("https://api.example.com{path}")).expect("a URL"))
    }

    fn story(replies: &[Reply]) -> Step {
        let mut answers = Answers::<Step>::new(replies, Verdict::from_status);
        let tell = || -> Result<Step, Box<Step>> {
            if answers.find(call("/there"))?.is_none() {
                return Ok(Verdict::NothingToDo("nowhere").into());
            }
            answers.need(call("/needed"))?;
            Ok(Verdict::delivered().into())
        };
        told({ tell }())
    }

    #[test]
    fn a_story_stops_at_its_first_unanswered_call_and_at_a_refusal() {
        for (statuses, expected) in [
            (&[][..], "GET /there"),
            (&[200], "GET /needed"),
            (&[404], "NothingToDo(\"nowhere\")"),
            (&[403], "WrongDestination(\"forbidden\")"),
            (&[200, 401], "Unauthorized"),
            (&[200, 404], "WrongDestination(\"not_found\")"),
            (&[200, 204], "Delivered(Delivered { external_id: None, url: None, ticket: None })"),
        ] {
            let replies: Vec<_> = statuses.iter().map(|status| reply(*status)).collect();
            let said = match story(&replies) {
                Step::Call(call) => format!("{call:?}"),
                Step::End(verdict) => format!("{verdict:?}"),
            };
            assert_eq!(said, expected, "{statuses:?}");
        }
    }
}
