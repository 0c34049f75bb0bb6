//! `relay erase`: removes what was said by or about an organization or a person, and keeps the accounts.

use std::process::ExitCode;

use clap::ArgGroup;
use engine::{
    Engine,
    connection::Actor,
    erase::{self, Asked, Erased, Subject, Target},
    ids::OrganizationId,
};
use indicatif::ProgressBar;
use serde_json::json;
use uuid::Uuid;

use crate::{
    progress,
    settings::{Needs, Settings},
    telemetry, text, wiring,
};

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("whom").required(true).multiple(true).args(["organization", "subject"]))]
pub(super) struct Arguments {
    /// Everything of this organization, whose connections are removed first; or, with --subject, what
    /// names that in this organization.
    #[arg(long, value_name = "UUID")]
    organization: Option<OrganizationId>,
    /// What names this person or thing: an address, an id, a name as it was written. In every
    /// organization, unless one is given.
    #[arg(long, value_name = "TEXT")]
    subject: Option<Subject>,
    /// Why, for the log, which keeps it for ever: it must not name the subject.
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// The id of the person who decided it, for the log; nobody is told apart otherwise.
    #[arg(long, value_name = "UUID")]
    by: Option<Uuid>,
    /// Says what would be erased, and erases nothing.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object for each organization.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Nothing)?;
    telemetry::init_logging(&settings)?;
    let removes = !arguments.dry_run && arguments.subject.is_none();
    if removes && settings.database_url.is_some() && settings.encryption_key.is_none() {
        anyhow::bail!(
            "RELAY_ENCRYPTION_KEY is not set: removing connections takes their access back with their tokens"
        );
    }
    let erasing = Erasing {
        engine: wiring::engine(&settings).await?,
        target: arguments.subject.map_or(Target::Organization, Target::Subject),
        actor: arguments.by.map_or_else(Actor::system, |id| Actor::user(id, None)),
        reason: arguments.reason.unwrap_or_default(),
        dry_run: arguments.dry_run,
        json: arguments.json,
    };
    match arguments.organization {
        Some(organization_id) => erasing.one(organization_id).await,
        None => erasing.wherever_it_is_named().await,
    }
}

struct Erasing {
    engine: Engine,
    target: Target,
    actor: Actor,
    reason: String,
    dry_run: bool,
    json: bool,
}

impl Erasing {
    async fn one(&self, organization_id: OrganizationId) -> anyhow::Result<ExitCode> {
        let erased = match self.dry_run {
            true => self.rehearse(organization_id).await?,
            false => self.erase(organization_id).await?,
        };
        self.say(organization_id, &erased)?;
        Ok(code(&erased))
    }

    /// Organizations that do not name it are left alone: nothing is recorded of an erasure there.
    async fn wherever_it_is_named(&self) -> anyhow::Result<ExitCode> {
        let (mut all, mut found) = (Erased::default(), 0);
        for organization_id in erase::organizations(&self.engine).await? {
            let mut erased = self.rehearse(organization_id).await?;
            if erased.counts.is_nothing() && erased.kept.is_empty() {
                continue;
            }
            if !self.dry_run {
                erased = self.erase(organization_id).await?;
            }
            self.say(organization_id, &erased)?;
            all.kept.extend(erased.kept);
            found += 1;
        }
        if found == 0 && !self.json {
            println!("No organization names it.");
        }
        Ok(code(&all))
    }

    async fn rehearse(&self, organization_id: OrganizationId) -> anyhow::Result<Erased> {
        let bar = self.bar(organization_id, "Looking").await?;
        let found = erase::rehearse(&self.engine, organization_id, &self.target, |looked| {
            bar.inc(looked);
        })
        .await;
        bar.finish_and_clear();
        Ok(found?)
    }

    async fn erase(&self, organization_id: OrganizationId) -> anyhow::Result<Erased> {
        let asked = Asked {
            organization_id,
            target: self.target.clone(),
            actor: self.actor.clone(),
            reason: self.reason.clone(),
        };
        let bar = self.bar(organization_id, "Erasing").await?;
        let erased = erase::erase(&self.engine, &asked, |looked| bar.inc(looked)).await;
        bar.finish_and_clear();
        Ok(erased?)
    }

    async fn bar(
        &self,
        organization_id: OrganizationId,
        title: &'static str,
    ) -> anyhow::Result<ProgressBar> {
        let bar = progress::bar(title);
        bar.set_length(erase::rows(&self.engine, organization_id).await?);
        Ok(bar)
    }

    fn say(&self, organization_id: OrganizationId, erased: &Erased) -> anyhow::Result<()> {
        if self.json {
            let told = json!({
                "organization_id": organization_id,
                "dry_run": self.dry_run,
                "erased": erased.counts,
                "kept_connections": erased.kept,
            });
            println!("{}", text::json_line(&told)?);
            return Ok(());
        }
        let c = &erased.counts;
        println!(
            "{organization_id}  {}: {} connections removed, {} deliveries cancelled, {} events, {} facts, {} attempts, {} other rows",
            if self.dry_run { "would be erased" } else { "erased" },
            c.connections,
            c.deliveries,
            c.events,
            c.facts,
            c.attempts,
            c.others
        );
        for id in &erased.kept {
            println!(
                "  connection {id} lives, and its settings name it: change or remove it, then run this again"
            );
        }
        Ok(())
    }
}

/// What was left for an admin to do is no success.
fn code(erased: &Erased) -> ExitCode {
    if erased.kept.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
