//! The command line: one file for each command, this one chooses among them.

mod settings;
mod with_postgres;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Records what happens in Deptex, and brings it to every place an organization has connected.
#[derive(Debug, Parser)]
#[command(name = "relay", version, about, disable_help_subcommand = true)]
pub(crate) struct Relay {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists every setting, its default, and whether it is set.
    Settings(settings::Arguments),
    /// Runs a command beside a throw-away Postgres, whose address it gets in DATABASE_URL.
    #[command(hide = true)]
    WithPostgres(with_postgres::Arguments),
}

impl Relay {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Settings(arguments) => settings::run(&arguments),
            Command::WithPostgres(arguments) => with_postgres::run(arguments).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Relay::command().debug_assert();
    }
}
