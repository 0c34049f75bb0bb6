//! Asks a provider on behalf of one connection, while an admin waits; says in words what went wrong.

use super::Chosen;
use crate::{
    connection::{
        Connection, ConnectionError, Status, errored, store,
        tokens::{self, Freshness, TokenUnavailable},
    },
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    oauth::ask::{self, AskError, Asking},
    provider::{
        self, AccountAccess, CheckStep, Choosing, Destination, Destinations, Hosts, Provider,
        Reply, Verdict,
    },
    secret::Secret,
};

/// Why a provider's function did not get to its end.
pub(super) enum Problem {
    /// The provider refused.
    Verdict(Verdict),
    /// There is no token to ask with.
    Token(TokenUnavailable),
    /// It does not answer, or not to the end.
    Unreachable,
}

/// Asks a provider on behalf of one connection.
pub(super) struct Asker<'a> {
    pub(super) engine: &'a Engine,
    pub(super) provider: &'static Provider,
    pub(super) state: Connection,
    hosts: Hosts,
}

impl<'a> Asker<'a> {
    pub(super) async fn of(
        engine: &'a Engine,
        organization_id: OrganizationId,
        id: ConnectionId,
    ) -> Result<Self, ConnectionError> {
        let mut database = engine.db.api.acquire().await?;
        let state = store::load(&mut database, organization_id, id).await?;
        let state = state.filter(|state| state.status != Status::Disconnected);
        let state = state.ok_or(ConnectionError::NotFound)?;
        let provider = provider::of(&state.provider, &state.metadata);
        let provider = provider.ok_or(ConnectionError::NotFound)?;
        let hosts = engine.config.providers.hosts(provider);
        Ok(Self { engine, provider, state, hosts })
    }

    pub(super) fn offered(&self) -> Result<&'static Destinations, ConnectionError> {
        let none = || {
            let message = format!("{} has no destinations to choose between", self.provider.label);
            ConnectionError::refused("no_destinations", message)
        };
        self.provider.destinations.as_ref().ok_or_else(none)
    }

    /// Asks with the token at hand, and once more with a new one where it was not taken.
    pub(super) async fn ask<T>(
        &self,
        mut next: impl FnMut(AccountAccess<'_>, &[Reply]) -> Asking<Result<T, Verdict>>,
    ) -> Result<T, Problem> {
        let mut freshness = Freshness::Valid;
        loop {
            let is_last = matches!(freshness, Freshness::Renewed { .. });
            let credential = tokens::access(self.engine, &self.state, freshness).await;
            let credential = credential.map_err(Problem::Token)?;
            let account = self.account(&credential);
            let asking = ask::ask(self.engine, self.provider, |replies| next(account, replies));
            match asking.await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(Verdict::Unauthorized)) if is_last => {
                    return Err(Problem::Verdict(self.no_longer_let_in().await));
                }
                Ok(Err(Verdict::Unauthorized)) => {
                    freshness = Freshness::Renewed { than: credential };
                }
                Ok(Err(verdict)) => return Err(Problem::Verdict(verdict)),
                Err(AskError::Unreachable(_) | AskError::Endless) => {
                    return Err(Problem::Unreachable);
                }
            }
        }
    }

    async fn no_longer_let_in(&self) -> Verdict {
        let (owner, id) = (self.state.organization_id, self.state.id);
        if let Err(error) = errored(self.engine, owner, id, "unauthorized").await {
            tracing::warn!(connection.id = %id, error = %error, "a refusal was not recorded");
        }
        Verdict::Reauth("unauthorized".into())
    }

    fn account<'b>(&'b self, credential: &'b Secret) -> AccountAccess<'b> {
        AccountAccess {
            credential,
            metadata: &self.state.metadata,
            installation_id: &self.state.installation_id,
            hosts: &self.hosts,
        }
    }

    /// The destination as it is stored, or a sentence why it cannot be one.
    pub(super) async fn check(
        &self,
        offered: &Destinations,
        chosen: &Chosen,
    ) -> Result<Result<Destination, String>, Problem> {
        self.ask(|account, replies| {
            let issue_type = chosen.issue_type.as_deref();
            let choosing = Choosing { account, id: &chosen.id, issue_type };
            match (offered.check)(&choosing, replies) {
                CheckStep::Call(call) => Asking::Call(call),
                CheckStep::Fine(destination) => Asking::Done(Ok(Ok(destination))),
                CheckStep::Unusable(sentence) => Asking::Done(Ok(Err(sentence))),
                CheckStep::Refused(verdict) => Asking::Done(Err(verdict)),
            }
        })
        .await
    }

    /// What an admin is told; the codes are stable.
    pub(super) fn refused(&self, problem: &Problem) -> ConnectionError {
        let (code, message) = sentence(self.provider.label, problem);
        ConnectionError::refused(code, message)
    }
}

/// A code and a sentence for an admin.
pub(super) fn sentence(label: &str, problem: &Problem) -> (&'static str, String) {
    let reauth = || ("reauth_required", format!("{label} no longer lets us in. Connect it again"));
    let later =
        || ("provider_unavailable", format!("{label} is not answering. Try again in a moment"));
    let ours = || {
        let message = format!("Our registration with {label} is not in order. Tell the operator");
        ("operator_fault", message)
    };
    match problem {
        Problem::Unreachable | Problem::Token(TokenUnavailable::Later(_)) => later(),
        Problem::Token(TokenUnavailable::Reauth(_)) => reauth(),
        Problem::Token(TokenUnavailable::Operator(_)) => ours(),
        Problem::Verdict(verdict) => match verdict {
            Verdict::Unauthorized | Verdict::Reauth(_) => reauth(),
            Verdict::OperatorFault(_) => ours(),
            Verdict::Retry { .. } => later(),
            Verdict::Suspended(_) => {
                ("suspended_at_provider", format!("The account is suspended at {label}"))
            }
            Verdict::Disconnected(_) | Verdict::Gone => {
                ("disconnected_at_provider", format!("{label} no longer knows this account"))
            }
            Verdict::NoDestination => {
                ("no_destination", "Choose a destination for its events first".to_owned())
            }
            Verdict::WrongDestination(code) => (
                "wrong_destination",
                format!("{label} does not take messages there ({})", word(code)),
            ),
            Verdict::Rejected(code) => {
                ("rejected", format!("{label} did not accept it ({})", word(code)))
            }
            Verdict::Delivered(_) | Verdict::NothingToDo(_) => {
                ("nothing_to_do", format!("There was nothing to do at {label}"))
            }
        },
    }
}

/// A provider's code, as far as it is one.
fn word(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_has_a_code_and_a_sentence_without_the_providers_own_text() {
        let said = |problem| sentence("Slack", &problem);
        let verdict = |verdict| said(Problem::Verdict(verdict));
        for ((code, message), expected) in [
            (said(Problem::Unreachable), "provider_unavailable"),
            (said(Problem::Token(TokenUnavailable::Reauth("x".into()))), "reauth_required"),
            (said(Problem::Token(TokenUnavailable::Operator("x"))), "operator_fault"),
            (verdict(Verdict::Unauthorized), "reauth_required"),
            (verdict(Verdict::NoDestination), "no_destination"),
            (verdict(Verdict::WrongDestination("is_archived".into())), "wrong_destination"),
            (verdict(Verdict::Rejected("<b>x</b>".into())), "rejected"),
        ] {
            assert_eq!(code, expected);
            assert!(!message.contains('<') && !message.is_empty(), "{message}");
        }
        let (_, message) = verdict(Verdict::WrongDestination("is_archived".into()));
        assert_eq!(message, "Slack does not take messages there (is_archived)");
    }
}
