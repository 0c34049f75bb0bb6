//! Writes the list of settings as docs/configuration.md.

use std::fmt::Write as _;

use super::Needs;
use super::list::{Group, SETTINGS, Setting};

const INTRODUCTION: &str = "\
# Configuration

Relay is configured by environment variables. A variable that is set but empty counts as not set.
Everything wrong or missing is reported at once when a command starts, by name and never by value;
`relay settings` lists them and tells which are set.

This page is written by `relay settings --markdown`; a test compares the two.
";

const PROVIDERS: &str = "
What each of them is for, and where to register: [providers.md](providers.md). A provider of which something is missing is
not offered, and `relay doctor` says what.
";

/// The whole page.
pub(crate) fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for group in Group::ALL {
        write!(page, "\n## {}\n", group.title()).expect("a String takes any text");
        if *group == Group::Providers {
            page.push_str(PROVIDERS);
        }
        for setting in SETTINGS.iter().filter(|setting| setting.group == *group) {
            page.push_str(&section(setting));
        }
    }
    page
}

fn section(setting: &Setting) -> String {
    let mut facts = Vec::new();
    if !setting.default.is_empty() {
        facts.push(format!("Default: `{}`.", setting.default));
    }
    if !setting.required_by.is_empty() {
        facts.push(format!("Required by {}.", commands(setting.required_by)));
    }
    if let Some(alias) = setting.alias {
        facts.push(format!("Also read as `{alias}`."));
    }
    if setting.secret {
        facts.push("Secret: never printed.".to_owned());
    }
    let facts = if facts.is_empty() { String::new() } else { format!("\n\n{}", facts.join(" ")) };
    format!("\n### `{}`\n\n{}{facts}\n", setting.name, setting.meaning)
}

fn commands(needs: &[Needs]) -> String {
    let names: Vec<&str> = needs
        .iter()
        .map(|needs| match needs {
            Needs::Nothing => "nothing",
            Needs::Database => "`relay migrate` and every command that looks into the database",
            Needs::Keys => "`relay secrets`",
            Needs::Api => "`relay api` (or `relay serve`)",
            Needs::Workers => "`relay workers`",
        })
        .collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_committed_page_is_what_the_list_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        if option_env!("UPDATE_DOCS").is_some() {
            std::fs::write(&path, markdown()).expect("docs/ can be written");
        }
        let committed = std::fs::read_to_string(&path).expect("docs/configuration.md is there");
        assert!(
            committed == markdown(),
            "docs/configuration.md is out of date: relay settings --markdown > docs/configuration.md"
        );
    }

    #[test]
    fn every_setting_is_on_the_page_once() {
        let page = markdown();
        for setting in SETTINGS.iter() {
            let heading = format!("\n### `{}`\n", setting.name);
            assert_eq!(page.matches(&heading).count(), 1, "{}", setting.name);
        }
    }
}
