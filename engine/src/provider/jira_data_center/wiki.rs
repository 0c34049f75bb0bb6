//! Words as Jira's wiki markup, in which customers' text stays text.

use url::Url;

use crate::{
    event::Severity,
    provider::{
        text,
        ticket::{LINK, Words},
    },
};

/// The words, the severity first and one link at the end.
///
/// The sign is markup rather than an emoji: some databases under Jira take no such characters.
pub(super) fn document(words: &Words) -> String {
    let sign = match (words.state, words.severity) {
        ("Resolved", _) => "(/)",
        (_, Severity::Critical | Severity::High) => "(x)",
        (_, Severity::Medium) => "(!)",
        (_, Severity::Low | Severity::Info) => "(i)",
    };
    let mut lines = vec![match words.news {
        Some(news) => format!("{sign} *{}* · {}", words.state, text::jira_wiki(news)),
        None => format!("{sign} *{}*", words.state),
    }];
    lines.push(String::new());
    lines.push(text::jira_wiki(&words.text));
    lines.push(String::new());
    for (name, value) in &words.facts {
        lines.push(format!("* *{name}:* {}", text::jira_wiki(value)));
    }
    lines.push(String::new());
    lines.push(format!("[{LINK}|{}]", address(&words.url)));
    lines.join("\n")
}

/// An address in which nothing ends the link early.
fn address(url: &str) -> String {
    let url = Url::parse(url).map_or_else(|_| url.to_owned(), String::from);
    url.replace('|', "%7C").replace(']', "%5D").replace('[', "%5B")
}
