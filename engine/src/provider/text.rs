//! What every provider says of an event, and how customers' text is kept from being markup.
//!
//! A package may be named `<!channel>`, `@everyone` or `[sign in](https://evil.example)`. Each
//! escaper takes any text and gives one line that the provider shows as it is: it mentions nobody,
//! links nowhere, and opens no formatting.

use serde_json::Value;

use super::Outgoing;
use crate::event::{BODY_CHARS_MAX, DIGEST, Severity};

/// Stands where a text was cut. Where markup allows, providers give [`clip`] the same with a link.
pub const CUT: &str = "… View in Deptex";
/// How long one fact may be.
const FACT_CHARS_MAX: usize = 200;
/// Shows nothing, and keeps what stands on both its sides from being read as one.
pub const GAP: char = '\u{200b}';

/// What every provider says of an event. Plain text: each escapes it in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How bad it is.
    pub severity: Severity,
    /// The same as a coloured sign, or ✅ for good news.
    pub symbol: &'static str,
    /// Whether something bad is over.
    pub is_good_news: bool,
    /// One line.
    pub title: String,
    /// A sentence or two; ends with [`CUT`] if it was longer.
    pub text: String,
    /// Facts with their labels, in the order that people want them.
    pub lines: Vec<(&'static str, String)>,
    /// The page of Deptex to look at.
    pub url: String,
}

impl Message {
    /// Says an event.
    pub fn of(out: &Outgoing<'_>) -> Self {
        let said = out.notification;
        let is_good_news = out.event.kind == "vulnerability.resolved";
        Self {
            severity: said.severity,
            symbol: match said.severity {
                _ if is_good_news => "✅",
                Severity::Critical => "🔴",
                Severity::High => "🟠",
                Severity::Medium => "🟡",
                Severity::Low => "🔵",
                Severity::Info => "ℹ️",
            },
            is_good_news,
            title: plain(&said.title),
            text: with_visible_cut(plain(&said.body)),
            lines: lines(out),
            url: said.url.clone(),
        }
    }

    /// How bad it is, with a capital: `Critical`.
    pub fn severity_word(&self) -> &'static str {
        word(self.severity)
    }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::High => "High",
        Severity::Medium => "Medium",
        Severity::Low => "Low",
        Severity::Info => "Info",
    }
}

fn lines(out: &Outgoing<'_>) -> Vec<(&'static str, String)> {
    if out.event.kind == DIGEST {
        return collected(out.data);
    }
    let known: [(&'static str, &[&str]); 5] = [
        ("Package", &["package", "dependency_name"]),
        ("Version", &["version"]),
        ("Project", &["project", "project_name", "projectName"]),
        ("Vulnerability", &["vulnerability_id", "osv_id"]),
        ("Status", &["new_status", "statusName", "status"]),
    ];
    let when = out.event.occurred_at.format("%-d %b %Y, %H:%M UTC").to_string();
    known
        .into_iter()
        .filter_map(|(label, names)| Some((label, fact(out.data, names)?)))
        .chain([("When", when)])
        .collect()
}

/// The events that a digest names, each by its severity, and how many it does not name.
fn collected(data: &Value) -> Vec<(&'static str, String)> {
    let named = data["events"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |event: &Value| {
        let severity = event["severity"].as_str().and_then(Severity::read)?;
        Some((word(severity), clip(&plain(event["title"].as_str()?), FACT_CHARS_MAX, "…")))
    };
    let more = data["more"].as_u64().filter(|more| *more > 0);
    let more = more.map(|more| ("More", format!("{more} others, in Deptex")));
    named.iter().filter_map(line).chain(more).collect()
}

/// The first of these names that has a text or a number.
fn fact(data: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| {
        let text = match &data[*name] {
            Value::String(text) => plain(text),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (!text.is_empty()).then(|| clip(&text, FACT_CHARS_MAX, "…"))
    })
}

/// The words of an event are cut where they were written; this says so in the way that all do.
fn with_visible_cut(text: String) -> String {
    match text.strip_suffix('…') {
        Some(kept) if text.chars().count() >= BODY_CHARS_MAX => format!("{}{CUT}", kept.trim_end()),
        _ => text,
    }
}

/// One line without characters that control, turn text around, or cannot be seen.
pub fn plain(text: &str) -> String {
    let line: String = text
        .chars()
        .filter(|c| !is_unseen(*c))
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    line.trim().to_owned()
}

/// Marks that turn text around, and characters without any width that join nothing.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text itself if it has at most so many characters; else its beginning with `tail` instead of
/// the rest.
///
/// Counts as UTF-16 does, the strictest of the ways that providers count. An escaped text is never
/// cut within an escape.
pub fn clip(text: &str, chars_max: usize, tail: &str) -> String {
    if chars(text) <= chars_max {
        return text.to_owned();
    }
    let tail = if chars(tail) <= chars_max { tail } else { "…" };
    let room = chars_max.saturating_sub(chars(tail));
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.len_utf16();
        used > room
    });
    let kept = without_half_an_escape(&text[..end.map_or(text.len(), |(at, _)| at)]);
    format!("{}{tail}", kept.trim_end())
}

/// As UTF-16 counts.
fn chars(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

fn without_half_an_escape(text: &str) -> &str {
    let text = match text.rfind('&') {
        Some(at) if text.len() - at < "&#124;".len() && !text[at..].contains(';') => &text[..at],
        _ => text,
    };
    let backslashes = text.len() - text.trim_end_matches('\\').len();
    &text[..text.len() - backslashes % 2]
}

/// For Slack's mrkdwn: neither mention nor link. What bold and the like are made of cannot be
/// escaped there, so text that people read goes into `plain_text` and `rich_text` instead.
pub fn slack(text: &str) -> String {
    rewrite(text, false, |out, _, c, _| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        _ => out.push(c),
    })
}

/// For Discord: neither mention, link, nor formatting.
pub fn discord(text: &str) -> String {
    rewrite(text, true, |out, _, c, _| {
        if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']') {
            out.push('\\');
        }
        out.push(c);
    })
}

/// For the Markdown of GitHub, GitLab, Linear and Bitbucket: neither mention, reference, link,
/// image, HTML, formula, command nor formatting.
///
/// Bitbucket shows a backslash before `<`, `~` and `|`, so these become entities, which all read.
pub fn markdown(text: &str) -> String {
    rewrite(text, true, |out, _, c, after| {
        let refers = after.is_some_and(|c| c.is_alphanumeric() || c == '"');
        let entity = match c {
            '<' => Some("&lt;"),
            '>' => Some("&gt;"),
            '&' => Some("&amp;"),
            '$' => Some("&#36;"),
            '|' => Some("&#124;"),
            '~' => Some("&#126;"),
            _ => None,
        };
        let follows_gh = c == '-' && ends_with_ignoring_case(out, "gh");
        match entity {
            Some(entity) => out.push_str(entity),
            None => {
                if matches!(c, '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']') {
                    out.push('\\');
                }
                out.push(c);
            }
        }
        let sigil = matches!(c, '#' | '!' | '$' | '%' | '&' | '~' | '^') || follows_gh;
        if sigil && refers {
            out.push(GAP);
        }
    })
}

/// For the wiki markup of Jira Data Center: neither mention, link, image, macro nor formatting.
///
/// The characters are those that Jira's own renderer takes after a backslash. A backslash itself
/// can only be an entity: two of them break the line.
pub fn jira_wiki(text: &str) -> String {
    rewrite(text, true, |out, before, c, after| {
        let within_a_word = [before, after].iter().all(|c| c.is_some_and(char::is_alphanumeric));
        match c {
            '\\' => return out.push_str("&#92;"),
            '-' | '_' | '+' if within_a_word => {}
            '-' | '#' | '*' | '_' | '+' | '?' | '^' | '~' | '|' | '%' | '{' | '}' | '[' | ']'
            | '(' | ')' | '!' => out.push('\\'),
            _ => {}
        }
        out.push(c);
    })
}

/// For HTML, as an element's text or an attribute's value.
pub fn html(text: &str) -> String {
    rewrite(text, false, |out, _, c, _| match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        _ => out.push(c),
    })
}

/// Writes a text anew, character by character with its neighbours. Everywhere a gap keeps apart
/// what would be a mention or a bare link, and, if wanted, what would start a list or a command.
fn rewrite(
    text: &str,
    lines_have_meaning: bool,
    write: impl Fn(&mut String, Option<char>, char, Option<char>),
) -> String {
    let text = plain(text);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    if lines_have_meaning && starts_a_block(&text) {
        out.push(GAP);
    }
    let mut before = None;
    for (at, c) in text.char_indices() {
        let rest = &text[at + c.len_utf8()..];
        let after = rest.chars().next();
        write(&mut out, before, c, after);
        let links = c == ':' && after == Some('/')
            || after == Some('.') && ends_with_ignoring_case(&out, "www");
        if links || c == '@' && mentions(before, rest) {
            out.push(GAP);
        }
        before = Some(c);
    }
    out
}

/// Whether an `@` between these calls somebody, rather than stand in a mail address.
fn mentions(before: Option<char>, after: &str) -> bool {
    let everybody = ["everyone", "here", "channel", "all"];
    let starts =
        |word: &&str| after.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word));
    let within = before.is_some_and(char::is_alphanumeric) && !everybody.iter().any(starts);
    !within && after.starts_with(|c: char| !c.is_whitespace())
}

/// Whether a line that begins so is a heading, a list, a quote, a command or the like.
fn starts_a_block(text: &str) -> bool {
    let after_digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = after_digits.len() < text.len()
        && after_digits
            .strip_prefix(['.', ')'])
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    let jira = text.starts_with("bq.")
        || text.strip_prefix('h').is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit()) && rest[1..].starts_with('.')
        });
    numbered || jira || text.starts_with(['#', '-', '+', '=', '>', '/', ':', '|', '~'])
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    let (text, end) = (text.as_bytes(), end.as_bytes());
    text.len() >= end.len() && text[text.len() - end.len()..].eq_ignore_ascii_case(end)
}

#[cfg(test)]
mod tests;
