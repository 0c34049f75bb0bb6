//! What the answer to a request means for each event that was in it.

use serde::Deserialize;

use crate::http::Response;
use crate::ledger::Fate;

/// The answer to one event.
#[derive(Debug, Deserialize)]
struct Stored {
    id: Option<uuid::Uuid>,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Debug, Deserialize)]
struct Results {
    results: Vec<Stored>,
}

/// What an answer means for each of `count` events.
pub(crate) fn fates(
    answer: &Response<'_>,
    count: usize,
    is_batch: bool,
    is_bare: bool,
) -> Vec<Fate> {
    match answer.status {
        202 if is_bare => vec![Fate::Accepted; count],
        202 if is_batch => match serde_json::from_slice::<Results>(answer.body) {
            Ok(Results { results }) if results.len() == count => results.iter().map(fate).collect(),
            _ => vec![Fate::InDoubt; count],
        },
        202 => match serde_json::from_slice::<Stored>(answer.body) {
            Ok(stored) => vec![fate(&stored); count],
            Err(_) => vec![Fate::InDoubt; count],
        },
        400..500 => vec![Fate::Refused; count],
        _ => vec![Fate::InDoubt; count],
    }
}

/// A key of ours taken for another's is a refusal: the event that was sent is not the one stored.
fn fate(stored: &Stored) -> Fate {
    if stored.id.is_some() && !stored.duplicate { Fate::Accepted } else { Fate::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn of(status: u16, body: &str, is_batch: bool) -> Vec<Fate> {
        let count = if is_batch { 2 } else { 1 };
        fates(&Response { status, body: body.as_bytes(), is_last: false }, count, is_batch, false)
    }

    #[test]
    fn only_a_202_with_an_id_is_an_acknowledgement() {
        let stored = format!(r#"{{"id":"{ID}","duplicate":false}}"#);
        let repeated = format!(r#"{{"id":"{ID}","duplicate":true}}"#);
        for (status, body, fate) in [
            (202, stored.as_str(), Fate::Accepted),
            (202, repeated.as_str(), Fate::Refused),
            (202, "{}", Fate::Refused),
            (202, "", Fate::InDoubt),
            (200, stored.as_str(), Fate::InDoubt),
            (422, "{}", Fate::Refused),
            (503, "{}", Fate::InDoubt),
        ] {
            assert_eq!(of(status, body, false), [fate], "{status} {body}");
        }
    }

    #[test]
    fn each_event_of_a_batch_has_its_own_answer() {
        let mixed = format!(
            r#"{{"results":[{{"id":"{ID}","duplicate":false}},{{"index":1,"error":"no","code":"x"}}]}}"#
        );
        assert_eq!(of(202, &mixed, true), [Fate::Accepted, Fate::Refused]);
        assert_eq!(of(202, r#"{"results":[]}"#, true), [Fate::InDoubt; 2]);
    }
}
