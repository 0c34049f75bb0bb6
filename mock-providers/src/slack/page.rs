//! Slack's channels as people see them.

use serde_json::Value;

use super::{Message, Slack, mrkdwn, rich_text};
use crate::{
    page::{self, escape, page as whole_page},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// Where links to a channel lead: here everything is on one page.
pub(super) fn app_redirect(_turn: &mut Turn<'_, Slack>) -> Outcome {
    Ok(Reply::redirect("/"))
}

/// Every channel with something in it.
pub(super) fn page(slack: &Slack) -> String {
    let mut body = String::new();
    for team in &slack.teams {
        for channel in &team.channels {
            let there = |m: &&Message| m.team == team.id && m.channel == channel.id;
            let messages: Vec<&Message> = slack.messages.iter().filter(there).collect();
            if messages.is_empty() {
                continue;
            }
            body.push_str(&format!("<h2>{} #{}</h2>", escape(&team.name), escape(&channel.name)));
            messages.into_iter().for_each(|message| body.push_str(&shown(message)));
        }
    }
    if body.is_empty() {
        body.push_str("<p>No messages yet.</p>");
    }
    whole_page("Slack", &body)
}

fn shown(message: &Message) -> String {
    let inside: String = match message.blocks.as_array() {
        Some(blocks) if !blocks.is_empty() => blocks.iter().map(shown_block).collect(),
        _ => format!("<pre>{}</pre>", mrkdwn::html(&message.text)),
    };
    format!("<article><small>Deptex <b>APP</b></small>{inside}</article>")
}

fn shown_text(object: &Value) -> String {
    let text = object["text"].as_str().unwrap_or_default();
    let html = if object["type"] == "mrkdwn" { mrkdwn::html(text) } else { escape(text) };
    format!("<pre>{html}</pre>")
}

fn shown_block(block: &Value) -> String {
    let all = |name: &str, shown: fn(&Value) -> String| -> String {
        block[name].as_array().into_iter().flatten().map(shown).collect()
    };
    match block["type"].as_str().unwrap_or_default() {
        "header" => {
            format!("<h3>{}</h3>", escape(block["text"]["text"].as_str().unwrap_or_default()))
        }
        "divider" => "<hr>".to_owned(),
        "section" => {
            let text =
                if block["text"].is_null() { String::new() } else { shown_text(&block["text"]) };
            format!("{text}{}{}", all("fields", shown_text), shown_button(&block["accessory"]))
        }
        "rich_text" => format!("<pre>{}</pre>", rich_text::html(block)),
        "context" => format!("<small>{}</small>", all("elements", shown_text)),
        "actions" => format!("<p>{}</p>", all("elements", shown_button)),
        _ => String::new(),
    }
}

fn shown_button(button: &Value) -> String {
    match (button["url"].as_str(), button["text"]["text"].as_str()) {
        (Some(url), Some(label)) => page::button(url, label),
        _ => String::new(),
    }
}
