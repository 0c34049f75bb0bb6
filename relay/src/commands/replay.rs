//! `relay replay`: makes one delivery due again.

use std::process::ExitCode;

use engine::{
    connection::Actor,
    delivery,
    ids::{DeliveryId, OrganizationId},
};

use crate::{
    settings::{Needs, Settings},
    wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which delivery.
    delivery: DeliveryId,
    /// Whose it is.
    #[arg(long, value_name = "UUID")]
    organization: OrganizationId,
    /// Why, for the record.
    #[arg(long)]
    reason: Option<String>,
    /// The outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Nothing)?;
    let engine = wiring::engine(&settings).await?;
    let reason = arguments.reason.as_deref();
    delivery::replay(&engine, arguments.organization, arguments.delivery, &Actor::system(), reason)
        .await?;
    if arguments.json {
        println!("{}", serde_json::json!({ "id": arguments.delivery, "success": true }));
    } else {
        println!("{} is due now, under its old id.", arguments.delivery);
    }
    Ok(ExitCode::SUCCESS)
}
