//! Writes an event as a Slack message. What customers wrote goes into `plain_text` and `rich_text`,
//! which Slack shows as it is: its mrkdwn has no way to escape `*`, `_`, `~` and backticks.

use serde_json::{Value, json};

use crate::{
    event::Severity,
    provider::{
        Outgoing,
        text::{CUT, Message, clip, slack},
    },
};

// https://docs.slack.dev/reference/block-kit/blocks
const HEADER_CHARS_MAX: usize = 150;
const SECTION_CHARS_MAX: usize = 3_000;
const URL_CHARS_MAX: usize = 3_000;

/// The message, without its channel.
pub(super) fn message(out: &Outgoing<'_>) -> Value {
    let said = Message::of(out);
    let title = format!("{} {}", said.symbol, said.title);
    let mut blocks = vec![json!({
        "type": "header",
        "text": plain_text(&clip(&title, HEADER_CHARS_MAX, CUT)),
    })];
    if !said.text.is_empty() {
        let text = plain_text(&clip(&said.text, SECTION_CHARS_MAX, CUT));
        blocks.push(json!({"type": "section", "text": text}));
    }
    blocks.extend(facts(&said));
    blocks.push(json!({
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": context(out), "verbatim": true}],
    }));
    if said.url.len() <= URL_CHARS_MAX {
        blocks.push(json!({
            "type": "actions",
            "elements": [{
                "type": "button",
                "text": plain_text("View in Deptex"),
                "url": said.url,
                "action_id": "view_in_deptex",
            }],
        }));
    }
    json!({
        // Beside blocks it is what notifications and screen readers say.
        "text": slack(&clip(&title, HEADER_CHARS_MAX, CUT)),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

fn plain_text(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

/// A line for each fact, the severity first; the time has a place of its own.
fn facts(said: &Message) -> Option<Value> {
    let severity =
        (said.severity != Severity::Info).then(|| ("Severity", said.severity_word().to_owned()));
    let lines: Vec<(&str, String)> = severity
        .into_iter()
        .chain(said.lines.iter().filter(|(label, _)| *label != "When").cloned())
        .collect();
    let last = lines.len().checked_sub(1)?;
    let elements: Vec<Value> = lines
        .iter()
        .enumerate()
        .flat_map(|(at, (label, value))| {
            let end = if at == last { "" } else { "\n" };
            [
                json!({"type": "text", "text": format!("{label}: "), "style": {"bold": true}}),
                json!({"type": "text", "text": format!("{value}{end}")}),
            ]
        })
        .collect();
    Some(json!({
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": elements}],
    }))
}

/// The kind, and when it happened on each reader's own clock.
fn context(out: &Outgoing<'_>) -> String {
    let at = out.event.occurred_at;
    let elsewhere = at.format("%-d %b %Y, %H:%M UTC");
    let kind = slack(&out.event.kind);
    format!("{kind} · <!date^{}^{{date_short_pretty}}, {{time}}|{elsewhere}>", at.timestamp())
}
