//! The end of installing a GitHub App: whose installation is it?

use super::{Callback, InstallError, Outcome, not_answering, operator_fault, store};
use crate::{
    engine::Engine,
    oauth::{
        github_app::{App, AppFault},
        states::{self, Traveller},
    },
    provider::{Client, GitHubApp, Provider},
};

/// An installation is linked once the admin has shown, with a token of their own, that it is theirs:
/// its id is a small number that anybody can write into the address.
pub(super) async fn link(
    engine: &Engine,
    provider: &'static Provider,
    settings: &GitHubApp,
    client: &Client,
    mut traveller: Traveller,
    callback: &Callback,
) -> Result<Outcome, InstallError> {
    let app = App::of(engine, provider, settings);
    let named = callback.installation_id.as_ref().filter(|id| !id.is_empty());
    if let (Some(kept), Some(named)) = (&traveller.installation_id, named)
        && kept != named
    {
        return Err(not_theirs());
    }
    let Some(installation_id) = named.cloned().or(traveller.installation_id.take()) else {
        return Err(match callback.setup_action.as_deref() {
            Some("request") => InstallError::refused(
                "approval_pending",
                "An owner of the GitHub organization has to approve the installation first",
            ),
            _ => InstallError::refused("no_installation", "No installation ID received"),
        });
    };
    let Some(code) = callback.code.as_ref().filter(|code| !code.reveal().is_empty()) else {
        traveller.installation_id = Some(installation_id);
        let state = states::keep(engine, provider, &traveller).await?;
        return Ok(Outcome::GoOn(app.authorize_url(client, &traveller.redirect_uri, &state)));
    };
    let theirs = app.is_theirs(client, &traveller.redirect_uri, code, &installation_id).await;
    if !theirs.map_err(|fault| not_installed(provider, &fault))? {
        return Err(not_theirs());
    }
    let account = app.account(&installation_id).await;
    let mut account = account.map_err(|fault| not_installed(provider, &fault))?;
    if let Some(action) = &callback.setup_action {
        account.metadata["setup_action"] = action.chars().take(20).collect::<String>().into();
    }
    Ok(Outcome::Linked(store(engine, provider, &traveller, vec![account], None).await?))
}

fn not_theirs() -> InstallError {
    let message = "Only an owner of the GitHub account can connect its installation";
    InstallError::refused("not_your_installation", message)
}

fn not_installed(provider: &Provider, fault: &AppFault) -> InstallError {
    match fault {
        AppFault::Operator(what) => operator_fault(provider, what, ""),
        AppFault::Gone => InstallError::refused(
            "installation_gone",
            "GitHub does not know this installation. Please install the app again",
        ),
        AppFault::Suspended => InstallError::refused(
            "installation_suspended",
            "This installation is suspended at GitHub. Unsuspend it there, then connect again",
        ),
        AppFault::Refused => InstallError::refused(
            "code_refused",
            "GitHub did not accept the authorization code. Please connect again",
        ),
        AppFault::Later(_) => not_answering(provider),
    }
}
