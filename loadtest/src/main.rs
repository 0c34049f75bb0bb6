//! `loadtest`: puts load on a Relay of this machine, counts what comes out, and compares it with what
//! we promise.

mod answer;
mod arrivals;
mod bench;
mod book;
mod budgets;
mod charts;
mod clock;
mod cluster;
mod compare;
mod cpu;
mod door;
mod event;
mod floor;
mod generator;
mod http;
mod latency;
mod ledger;
mod load;
mod machine;
mod plot;
mod postgres;
mod progress;
mod receiver;
mod render;
mod replays;
mod report;
mod round;
mod scenarios;
mod schedule;
mod signature;
mod timeline;
mod token;
mod trial;
mod webhooks;

#[cfg(test)]
mod fake_relay;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::bench::Bench;
use crate::charts::Picture;
use crate::cluster::Cluster;
use crate::cpu::Watched;
use crate::load::{Load, LoadArguments, ScenarioArguments};
use crate::progress::Progress;
use crate::receiver::Receiver;
use crate::report::{Report, Subject};
use crate::round::Round;
use crate::scenarios::steady::{self, STEADY};
use crate::scenarios::{Measured, SCENARIOS, Scenario};
use crate::trial::Stage;
use crate::webhooks::{Relay, Webhooks};

/// As a shell counts a process that was interrupted.
const INTERRUPTED: u8 = 130;

#[derive(Debug, Parser)]
#[command(name = "loadtest", about, version)]
enum Arguments {
    /// Loads a Relay that is running on this machine.
    Steady(SteadyArguments),
    /// Starts a Relay of its own on a throw-away Postgres, loads it, and stops it all again.
    Run(RunArguments),
    /// Names the scenarios, and what question each answers.
    List,
    /// Compares two reports, figure by figure.
    Compare(compare::Arguments),
}

#[derive(Debug, clap::Args)]
struct SteadyArguments {
    /// Where its API listens: a loopback address.
    #[arg(long, default_value = "http://127.0.0.1:3001", value_name = "URL")]
    relay: String,
    #[arg(long, env = "RELAY_SERVICE_KEY", hide_env_values = true)]
    service_key: String,
    /// A token of somebody who may create webhooks in the organization.
    #[arg(long, env = "RELAY_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: String,
    /// Whose events they will be. Its other webhooks, if any, get them too.
    #[arg(long, value_name = "UUID")]
    organization: Uuid,
    /// A process whose CPU and memory to report, descendants included; Postgres as `postgres=PID`.
    #[arg(long, value_name = "NAME=PID")]
    watch: Vec<Watched>,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Which load: see `loadtest list`.
    #[arg(long, default_value = "steady", value_name = "NAME", value_parser = scenario)]
    scenario: &'static Scenario,
    /// The binary to measure.
    #[arg(long, default_value = "target/release/relay", value_name = "FILE")]
    relay_bin: PathBuf,
    /// A setting for it, on top of what a run needs.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// API and workers in one process: `relay serve`.
    #[arg(long)]
    together: bool,
    /// A floor program to put the same load on, for the ratio; only with `steady`.
    #[arg(long, value_name = "FILE")]
    floor: Option<PathBuf>,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    of_scenario: ScenarioArguments,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct Output {
    /// Writes the whole report as JSON, and as Markdown with pictures beside it.
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Prints the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Fails when a promised bound is missed, or anything was lost, invented or repeated.
    #[arg(long)]
    check: bool,
    /// Other budgets than those built in.
    #[arg(long, value_name = "FILE.toml")]
    budgets: Option<PathBuf>,
}

fn scenario(name: &str) -> anyhow::Result<&'static Scenario> {
    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    scenarios::find(name).with_context(|| format!("the scenarios are {}", names.join(", ")))
}

fn setting(text: &str) -> anyhow::Result<(String, String)> {
    let (name, value) = text.split_once('=').context("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    clock::now_ns();
    let outcome = match Arguments::parse() {
        Arguments::Steady(arguments) => steady(&arguments).await,
        Arguments::Run(arguments) => run(&arguments).await,
        Arguments::List => list(),
        Arguments::Compare(arguments) => compare::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("loadtest: {error:#}");
        ExitCode::FAILURE
    })
}

/// Answers when somebody asks us to end.
async fn interrupted() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn steady(arguments: &SteadyArguments) -> anyhow::Result<ExitCode> {
    let relay = Relay {
        address: http::loopback(&arguments.relay)?,
        service_key: arguments.service_key.clone(),
        admin_token: arguments.admin_token.clone(),
        organization_id: arguments.organization,
    };
    let rows = budgets_of(&arguments.output)?;
    let load = arguments.load.over(&Load::STEADY);
    let progress = Progress::new(!arguments.output.json);
    let receiver = Receiver::start()?;
    let measured = measure_steady(&relay, &receiver, &load, &arguments.watch, progress).await?;
    let Some(rounds) = measured else { return Ok(ExitCode::from(INTERRUPTED)) };
    let server = arguments.watch.iter().find(|one| one.name == "postgres");
    let subject = Subject {
        relay: "already running".to_owned(),
        postgres_version: server.and_then(|server| machine::postgres_version(server.pid)),
        ..Subject::default()
    };
    let measured = Measured { rounds, ..Measured::default() };
    let report = Report::new(&STEADY, &load, subject, measured, Vec::new(), &rows);
    finish(&report, &arguments.output)
}

async fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let scenario = arguments.scenario;
    let is_steady = scenario.name == STEADY.name;
    ensure!(is_steady || arguments.floor.is_none(), "a floor is measured only beside `steady`");
    let rows = budgets_of(&arguments.output)?;
    let load = arguments.load.over(&arguments.of_scenario.over(&scenario.load));
    let own = scenario.settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let settings: Vec<_> = own.chain(arguments.settings.iter().cloned()).collect();
    let options = cluster::Options {
        relay_bin: arguments.relay_bin.clone(),
        settings: settings.clone(),
        together: arguments.together,
    };
    let mut cluster = tokio::select! {
        cluster = Cluster::start(&options) => cluster?,
        _ = interrupted() => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let measured = if is_steady {
        measure(&mut cluster, &load, arguments).await
    } else {
        let played = play(&mut cluster, &load, arguments).await;
        played.map(|measured| measured.map(|measured| (measured, Vec::new())))
    };
    let mut told = settings;
    if arguments.together {
        told.push(("processes".to_owned(), "relay serve".to_owned()));
    }
    let subject = Subject::of(&cluster, &arguments.relay_bin, &told);
    let stopped = cluster.stop().await;
    let Some((measured, floor)) = measured? else {
        stopped?;
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let report = Report::new(scenario, &load, subject, measured, floor, &rows);
    let code = finish(&report, &arguments.output)?;
    stopped?;
    Ok(code)
}

fn list() -> anyhow::Result<ExitCode> {
    for Scenario { name, question, .. } in SCENARIOS {
        println!("{name:12} {question}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Rounds of a scenario that needs a Relay of its own; `None` when interrupted.
async fn play(
    cluster: &mut Cluster,
    load: &Load,
    arguments: &RunArguments,
) -> anyhow::Result<Option<Measured>> {
    let receiver = Receiver::start()?;
    let progress = Progress::new(!arguments.output.json);
    let mut bench = Bench { cluster, receiver: &receiver, progress, is_prepared: false };
    tokio::select! {
        measured = scenarios::measure(arguments.scenario, &mut bench, load) => Ok(Some(measured?)),
        _ = interrupted() => Ok(None),
    }
}

/// Rounds of Relay and, where asked for, of the floor; `None` when interrupted.
async fn measure(
    cluster: &mut Cluster,
    load: &Load,
    arguments: &RunArguments,
) -> anyhow::Result<Option<(Measured, Vec<Round>)>> {
    let progress = Progress::new(!arguments.output.json);
    let receiver = Receiver::start()?;
    let watched = cluster.watched();
    let measured = measure_steady(cluster.relay(), &receiver, load, &watched, progress).await?;
    let Some(rounds) = measured else { return Ok(None) };
    let measured = Measured { rounds, ..Measured::default() };
    let Some(program) = &arguments.floor else { return Ok(Some((measured, Vec::new()))) };
    cluster.stop_relay().await?;
    let postgres = cluster.postgres();
    tokio::select! {
        floor = floor::measure(program, postgres, &receiver, load, progress) => {
            Ok(Some((measured, floor?)))
        }
        _ = interrupted() => Ok(None),
    }
}

/// Creates the webhooks, measures, and deletes them, however the measuring ended; `None` when
/// interrupted.
async fn measure_steady(
    relay: &Relay,
    receiver: &Receiver,
    load: &Load,
    watched: &[Watched],
    progress: Progress,
) -> anyhow::Result<Option<Vec<Round>>> {
    let webhooks = Webhooks::create(relay, &receiver.hooks(0..load.connections.into())).await?;
    receiver.expect_signatures(webhooks.verifiers(), load.verify_every);
    let stage = Stage {
        target: relay.address,
        service_key: relay.service_key.clone(),
        receiver,
        is_floor: false,
        progress,
    };
    let measured = tokio::select! {
        rounds = steady::measure(&stage, load, relay.organization_id, watched) => rounds.map(Some),
        _ = interrupted() => Ok(None),
    };
    let deleted = webhooks.delete().await;
    let measured = measured?;
    deleted?;
    Ok(measured)
}

fn budgets_of(output: &Output) -> anyhow::Result<Vec<budgets::Row>> {
    let text = output.budgets.as_deref().map(std::fs::read_to_string).transpose()?;
    budgets::rows(text.as_deref())
}

fn finish(report: &Report, output: &Output) -> anyhow::Result<ExitCode> {
    if let Some(path) = &output.out {
        ensure!(path.extension() != Some("md".as_ref()), "--out names the JSON file");
        write(path, &report.json()?)?;
        let stem = path.file_stem().map_or("report".into(), |stem| stem.to_string_lossy());
        let mut pictures = Vec::new();
        for Picture { suffix, title, svg } in charts::pictures(report) {
            let file = format!("{stem}-{suffix}.svg");
            write(&path.with_file_name(&file), &svg)?;
            pictures.push((title, file));
        }
        write(&path.with_extension("md"), &report.markdown(&pictures))?;
    }
    if output.json {
        println!("{}", report.json()?);
    } else {
        print!("{}", report.text());
    }
    let failures = report.failures();
    for failure in &failures {
        eprintln!("loadtest: {failure}");
    }
    let fails = output.check && !failures.is_empty();
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
