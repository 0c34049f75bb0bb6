//! `relay settings`: what can be set, and what is.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde::Serialize;

use crate::settings::{SETTINGS, Setting, is_set, markdown};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// The page docs/configuration.md.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

/// A setting as it is told to programs. Values are left out: some are secret.
#[derive(Serialize)]
struct Line<'a> {
    name: &'static str,
    is_set: bool,
    default: Option<&'static str>,
    secret: bool,
    meaning: &'a str,
}

impl<'a> From<&'a Setting> for Line<'a> {
    fn from(setting: &'a Setting) -> Self {
        Self {
            name: setting.name,
            is_set: is_set(setting),
            default: Some(setting.default).filter(|default| !default.is_empty()),
            secret: setting.secret,
            meaning: &setting.meaning,
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    if arguments.markdown {
        write!(out, "{}", markdown())?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in SETTINGS.iter().map(Line::from) {
        if arguments.json {
            writeln!(out, "{}", serde_json::to_string(&line)?)?;
        } else {
            let state = match (line.is_set, line.default) {
                (true, _) => "set".to_owned(),
                (false, Some(default)) => format!("default {default}"),
                (false, None) => "not set".to_owned(),
            };
            writeln!(out, "{:<30} {state}", line.name)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
