//! `relay connections`: an organization's connections, and where their events go.

use std::process::ExitCode;

use clap::Subcommand;
use engine::{
    Engine,
    connection::{
        self, Actor, ConnectionView, Scope,
        destinations::{self, Chosen},
        revocation::revoke_url,
    },
    ids::{ConnectionId, OrganizationId},
};
use serde_json::json;

use crate::{
    settings::{Needs, Settings},
    text, wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Whose connections.
    #[arg(long, value_name = "UUID", global = true)]
    organization: Option<OrganizationId>,
    /// One JSON object a line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lists them, whatever their scope and status.
    List,
    /// Lists what a connection's events can go to: channels, projects, teams or repositories.
    Destinations {
        connection: ConnectionId,
        /// A part of the name.
        #[arg(long)]
        search: Option<String>,
        /// Go on after the page before.
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Chooses where its events go.
    Choose {
        connection: ConnectionId,
        /// The provider's id, from the list.
        destination: String,
        /// For Jira: the name or the id of the issue type.
        #[arg(long)]
        issue_type: Option<String>,
    },
    /// Sends a test to where its events go, now and once.
    Test { connection: ConnectionId },
    /// Removes it: what is queued is cancelled, and its access is taken back at the provider.
    Disconnect { connection: ConnectionId },
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Some(organization_id) = arguments.organization else {
        anyhow::bail!("say whose connections with --organization <UUID>");
    };
    let settings = Settings::from_env(Needs::Nothing)?;
    let opens_tokens = !matches!(arguments.what, What::List);
    if opens_tokens && settings.database_url.is_some() && settings.encryption_key.is_none() {
        anyhow::bail!("RELAY_ENCRYPTION_KEY is not set: this needs the connection's token");
    }
    let engine = wiring::engine(&settings).await?;
    let asking = Asking { engine, organization_id, json: arguments.json };
    match arguments.what {
        What::List => asking.list().await,
        What::Destinations { connection, search, cursor } => {
            asking.destinations(connection, cursor.as_deref(), search.as_deref()).await
        }
        What::Choose { connection, destination, issue_type } => {
            asking.choose(connection, &Chosen { id: destination, issue_type }).await
        }
        What::Test { connection } => asking.test(connection).await,
        What::Disconnect { connection } => asking.disconnect(connection).await,
    }
}

struct Asking {
    engine: Engine,
    organization_id: OrganizationId,
    json: bool,
}

impl Asking {
    async fn list(&self) -> anyhow::Result<ExitCode> {
        for view in connection::list(&self.engine, self.organization_id).await? {
            self.say(&view, || line(&view))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn destinations(
        &self,
        id: ConnectionId,
        cursor: Option<&str>,
        search: Option<&str>,
    ) -> anyhow::Result<ExitCode> {
        let organization_id = self.organization_id;
        let page = destinations::list(&self.engine, organization_id, id, cursor, search).await?;
        for found in &page.destinations {
            self.say(found, || format!("{:<40}  {}", found.id, found.name))?;
        }
        if let Some(next) = page.next {
            eprintln!("There are more: --cursor {}", text::inert(&next));
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn choose(&self, id: ConnectionId, chosen: &Chosen) -> anyhow::Result<ExitCode> {
        let (owner, actor) = (self.organization_id, Actor::system());
        let view = destinations::choose(&self.engine, owner, id, chosen, &actor).await?;
        let destination = &view.metadata["destination"];
        let name = destination["name"].as_str().unwrap_or(&chosen.id);
        self.say(destination, || format!("Events go to {name} from now on."))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn test(&self, id: ConnectionId) -> anyhow::Result<ExitCode> {
        let outcome = destinations::send_test(&self.engine, self.organization_id, id).await?;
        let told = json!({
            "success": outcome.success, "status": outcome.status, "message": outcome.message,
        });
        self.say(&told, || outcome.message.clone())?;
        Ok(if outcome.success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn disconnect(&self, id: ConnectionId) -> anyhow::Result<ExitCode> {
        let owner = self.organization_id;
        let found = connection::find(&self.engine, owner, id).await?;
        let Some(found) = found else { anyhow::bail!("this organization has no connection {id}") };
        let scope =
            Scope::from_columns(found.team_id.map(|id| id.0), found.project_id.map(|id| id.0));
        let actor = Actor::system();
        let view = connection::disconnect(&self.engine, owner, id, Some(scope), &actor).await?;
        let by_hand = revoke_url(&self.engine, &view.provider, &view.metadata);
        let told = json!({ "success": true, "provider": view.provider, "revoke_url": by_hand });
        self.say(&told, || match &by_hand {
            Some(url) => format!("Removed. What was granted can be taken back at {url}"),
            None => "Removed.".to_owned(),
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn say<T: serde::Serialize>(
        &self,
        value: &T,
        line: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            println!("{}", text::json_line(value)?);
        } else {
            // Names come from customers and providers: nothing of them may steer a terminal.
            println!("{}", text::inert(&line()));
        }
        Ok(())
    }
}

fn line(view: &ConnectionView) -> String {
    let scope = match (view.team_id, view.project_id) {
        (Some(team), _) => format!("  team {team}"),
        (None, Some(project)) => format!("  project {project}"),
        (None, None) => String::new(),
    };
    let paused = if view.paused { "  paused" } else { "" };
    let why = view.status_reason.as_deref().map_or_else(String::new, |why| format!("  ({why})"));
    let goes_to = view.metadata["destination"]["name"].as_str();
    let goes_to = goes_to.map_or_else(String::new, |name| format!("  → {name}"));
    format!(
        "{}  {:<19}  {:<12}{why}{paused}  {}{goes_to}{scope}",
        view.id, view.provider, view.status, view.display_name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_line_says_how_a_connection_stands_and_where_it_goes() {
        let now = engine::clock::now();
        let view = ConnectionView {
            id: Uuid::nil().into(),
            organization_id: Uuid::nil().into(),
            provider: "jira".into(),
            installation_id: "x".into(),
            display_name: "Ops".into(),
            metadata: json!({ "destination": { "id": "SEC", "name": "SEC — Security" } }),
            status: "error".into(),
            status_reason: Some("invalid_grant".into()),
            paused: true,
            team_id: Some(Uuid::nil().into()),
            project_id: None,
            event_types: vec![],
            conditions: None,
            retry_schedule: None,
            header_names: vec![],
            rate_limit: None,
            ordering: None,
            digest_minutes: None,
            connected_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let line = line(&view);
        for part in
            ["jira", "error", "(invalid_grant)", "paused", "Ops", "→ SEC — Security", "team "]
        {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
