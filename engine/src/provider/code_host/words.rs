//! An event in the words of a commit's mark, an issue and a comment.

use super::super::{
    contract::{Outgoing, Wish},
    text::{self, CUT, Message},
    ticket::{LINK, News, TITLE_CHARS_MAX, Words},
};
use crate::event::Severity;

/// What our marks of commits are called, all of them.
const CONTEXT: &str = "deptex/scan";
/// How long the name of a mark may be.
const CONTEXT_CHARS_MAX: usize = 255;

/// What a commit's mark is called. Hosts keep one mark of each name, the latest, so each finding has
/// a name of its own: a resolved one must not turn green what another one turned red.
pub(in crate::provider) fn context(out: &Outgoing<'_>) -> String {
    let message = Message::of(out);
    let known = |label: &str| {
        message.lines.iter().find(|(known, _)| *known == label).map(|(_, value)| value.as_str())
    };
    let is_finding = out.event.kind.starts_with("vulnerability.");
    let project = known("Project").map(|project| format!(" ({project})")).unwrap_or_default();
    let what = match known("Vulnerability").filter(|_| is_finding) {
        Some(vulnerability) => {
            let package = known("Package").map(|package| format!(" in {package}"));
            format!("{vulnerability}{}{project}", package.unwrap_or_default())
        }
        // The status that a project has now takes the place of the one before.
        None if out.event.kind == "project.status_changed" => format!("project status{project}"),
        None => message.title,
    };
    text::clip(&format!("{CONTEXT}: {what}"), CONTEXT_CHARS_MAX, "…")
}

/// Whether a commit is marked green.
pub(in crate::provider) fn is_good_news(out: &Outgoing<'_>) -> bool {
    out.notification.severity == Severity::Info
}

/// The one line beside a commit's mark.
pub(in crate::provider) fn description(out: &Outgoing<'_>, chars_max: usize) -> String {
    text::clip(&Words::of(out, News::Opened).title, chars_max, CUT)
}

/// The title of an issue: shown as it is.
pub(in crate::provider) fn title(out: &Outgoing<'_>) -> String {
    Words::of(out, News::Opened).title
}

/// The same for a host that reads mentions and references in titles as well.
pub(in crate::provider) fn title_without_references(out: &Outgoing<'_>) -> String {
    let title = title(out);
    let mut apart = String::with_capacity(title.len());
    let mut rest = title.chars().peekable();
    while let Some(c) = rest.next() {
        apart.push(c);
        let next = rest.peek().copied();
        let refers = matches!(c, '@' | '#' | '!' | '$' | '%' | '&' | '~' | '^')
            && next.is_some_and(|next| !next.is_whitespace());
        let links = c == ':' && next == Some('/')
            || next == Some('.') && apart.to_ascii_lowercase().ends_with("www");
        if refers || links {
            apart.push(text::GAP);
        }
    }
    text::clip(&apart, TITLE_CHARS_MAX, CUT)
}

/// What an issue says, in Markdown.
pub(in crate::provider) fn issue_body(out: &Outgoing<'_>, hidden: &str) -> String {
    let words = Words::of(out, News::Opened);
    let said = text::markdown(&words.text);
    let first = if words.severity == Severity::Info && out.wish == Wish::Open {
        format!("{} {said}", words.symbol)
    } else {
        format!("{} **{}** · {said}", words.symbol, words.state)
    };
    paragraphs(&first, None, &words, hidden)
}

/// What a comment says, in Markdown.
pub(in crate::provider) fn comment_body(out: &Outgoing<'_>, news: News, hidden: &str) -> String {
    let words = Words::of(out, news);
    let first = format!("{} **{}**", words.symbol, text::markdown(&words.title));
    let said = text::markdown(&words.text);
    let said = match words.news {
        Some(news) => format!("{news} {said}"),
        None => said,
    };
    paragraphs(&first, Some(&said), &words, hidden)
}

fn paragraphs(first: &str, said: Option<&str>, words: &Words, hidden: &str) -> String {
    let facts: Vec<String> = words
        .facts
        .iter()
        .map(|(label, value)| format!("- **{label}:** {}", text::markdown(value)))
        .collect();
    let link = format!("[{LINK}]({})", words.url);
    [Some(first), said, Some(&facts.join("\n")), Some(&link), Some(hidden)]
        .into_iter()
        .flatten()
        .filter(|paragraph| !paragraph.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n")
}
