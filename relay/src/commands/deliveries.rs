//! `relay deliveries`: what was promised to an organization's connections, and what became of it.

use std::process::ExitCode;

use engine::{
    delivery::{self, DeliveryDetail, DeliveryFilter, DeliveryStatus, DeliveryView},
    ids::{ConnectionId, DeliveryId, EventId, OrganizationId},
};

use crate::{
    settings::{Needs, Settings},
    text, wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Show this one with its attempts.
    delivery: Option<DeliveryId>,
    /// Whose deliveries.
    #[arg(long, value_name = "UUID")]
    organization: OrganizationId,
    /// pending, parked, delivered, dead, skipped, cancelled or expired; may be given several times.
    #[arg(long)]
    status: Vec<DeliveryStatus>,
    /// Only to this connection.
    #[arg(long, value_name = "UUID")]
    connection: Option<ConnectionId>,
    /// Only of this event.
    #[arg(long, value_name = "UUID")]
    event: Option<EventId>,
    /// Only of this kind, such as vulnerability.found.
    #[arg(long)]
    kind: Option<String>,
    /// Go on after this delivery of the page before.
    #[arg(long, value_name = "UUID")]
    after: Option<DeliveryId>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    limit: u16,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Nothing)?;
    let engine = wiring::engine(&settings).await?;
    if let Some(id) = arguments.delivery {
        let Some(detail) = delivery::find(&engine, arguments.organization, id).await? else {
            anyhow::bail!("this organization has no delivery {id}");
        };
        if arguments.json {
            println!("{}", text::json_line(&detail)?);
        } else {
            print_detail(&detail);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let filter = DeliveryFilter {
        statuses: arguments.status,
        connection_id: arguments.connection,
        event_id: arguments.event,
        kind: arguments.kind,
        before: arguments.after,
        limit: arguments.limit,
        ..DeliveryFilter::default()
    };
    let page = delivery::list(&engine, arguments.organization, &filter).await?;
    for item in &page.items {
        if arguments.json {
            println!("{}", text::json_line(item)?);
        } else {
            println!("{}", line(item));
        }
    }
    if !arguments.json {
        match page.next {
            Some(next) => println!("… more: add --after {next}"),
            None if page.items.is_empty() => println!("No deliveries match."),
            None => {}
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(item: &DeliveryView) -> String {
    let kind = item.event.as_deref().unwrap_or("(event no longer kept)");
    let why = item.reason.as_deref().or(item.error_class.as_deref()).unwrap_or("");
    let made = item.external_url.as_deref().or(item.external_id.as_deref()).unwrap_or("");
    // Names and errors come from customers and receivers: nothing of them may steer a terminal.
    text::inert(
        format!(
            "{}  {:<9}  {:>2} attempts  {kind:<32}  {}  {why}  {made}",
            item.id, item.status, item.attempts, item.connection_name
        )
        .trim_end(),
    )
}

fn print_detail(detail: &DeliveryDetail) {
    println!("{}", line(&detail.delivery));
    for attempt in &detail.attempts {
        let answer = attempt
            .status_code
            .map(|status| status.to_string())
            .or_else(|| attempt.error_class.clone())
            .unwrap_or_else(|| "-".to_owned());
        let took = attempt.duration_ms.map_or_else(String::new, |ms| format!("{ms:.1} ms"));
        let rest =
            [attempt.reason.as_deref(), attempt.error.as_deref(), attempt.response_head.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" · ");
        println!(
            "{}",
            text::inert(&format!(
                "  {:>3}  {}  {:<10}  {answer:<12}  {took:>10}  {rest}",
                attempt.number,
                attempt.recorded_at.format("%Y-%m-%d %H:%M:%S%.3f"),
                attempt.settlement
            ))
        );
    }
}
