//! The end of an OAuth consent: a code becomes tokens, tokens tell whose account it is.

use super::{InstallError, not_answering, operator_fault, store};
use crate::{
    connection::secrets::TokenSet,
    engine::Engine,
    ids::ConnectionId,
    oauth::{
        ask::{self, AskError, Asking},
        exchange::{Grant, exchange, token_call},
        states::Traveller,
    },
    provider::{
        Account, AccountStep, Client, CredentialOf, Newcomer, OAuth2, Provider, Refresh,
        TokenRefused, Tokens,
    },
    secret::Secret,
};

/// Exchanges the code, asks whose account it is, and stores it.
pub(super) async fn link(
    engine: &Engine,
    provider: &'static Provider,
    oauth: &OAuth2,
    client: &Client,
    traveller: &Traveller,
    code: &Secret,
) -> Result<Vec<ConnectionId>, InstallError> {
    let hosts = engine.config.providers.hosts(provider);
    let grant = Grant::Code { code, verifier: traveller.verifier.as_ref() };
    let call = token_call(oauth, &hosts, client, &traveller.redirect_uri, grant);
    let tokens = exchange(engine, provider, oauth, call)
        .await
        .map_err(|refused| not_exchanged(provider, &refused))?;
    let accounts = whose(engine, provider, oauth, &tokens).await?;
    let tokens = TokenSet {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_in: tokens.expires_in,
        is_renewed: oauth.refresh != Refresh::None
            && provider.credential == CredentialOf::Connection,
    };
    store(engine, provider, traveller, accounts, Some(tokens)).await
}

fn not_exchanged(provider: &Provider, refused: &TokenRefused) -> InstallError {
    let label = provider.label;
    match refused {
        TokenRefused::Grant(_) => InstallError::refused(
            "code_refused",
            format!("{label} did not accept the authorization code. Please connect again"),
        ),
        TokenRefused::Client(code) => operator_fault(provider, "invalid_client", code),
        TokenRefused::Later(_) => not_answering(provider),
    }
}

/// Asks with the new token until the account is known.
async fn whose(
    engine: &Engine,
    provider: &Provider,
    oauth: &OAuth2,
    tokens: &Tokens,
) -> Result<Vec<Account>, InstallError> {
    let hosts = engine.config.providers.hosts(provider);
    let own = match provider.credential {
        CredentialOf::Connection => None,
        CredentialOf::Operator(name) => engine.config.providers.secret(name),
    };
    let newcomer = Newcomer { tokens, own: own.as_ref(), hosts: &hosts };
    let known = ask::ask(engine, provider, |replies| match (oauth.account)(&newcomer, replies) {
        AccountStep::Call(call) => Asking::Call(call),
        AccountStep::Accounts(accounts) => Asking::Done(Ok(accounts)),
        AccountStep::Unreadable(message) => Asking::Done(Err(message)),
    });
    match known.await {
        Ok(Ok(accounts)) if !accounts.is_empty() => Ok(accounts),
        Ok(Ok(_)) => Err(InstallError::refused(
            "no_account",
            format!("{} gave access to nothing that can be connected", provider.label),
        )),
        Ok(Err(message)) => Err(InstallError::refused("account_unreadable", message)),
        Err(AskError::Unreachable(_)) => Err(not_answering(provider)),
        Err(AskError::Endless) => Err(InstallError::refused(
            "account_unreadable",
            format!("{} did not say whose account it is", provider.label),
        )),
    }
}
