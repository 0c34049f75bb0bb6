//! Discord's channels as people see them.

use serde_json::Value;

use super::{Discord, Message};
use crate::{
    markdown,
    page::{button, escape, link, page as whole_page},
};

/// Every channel with something in it.
pub(super) fn page(discord: &Discord) -> String {
    let mut body = String::new();
    for guild in &discord.guilds {
        for channel in &guild.channels {
            let there = |message: &&Message| message.channel == channel.id;
            let messages: String = discord.messages.iter().filter(there).map(shown).collect();
            if !messages.is_empty() {
                let (guild, channel) = (escape(&guild.name), escape(&channel.name));
                body.push_str(&format!("<h2>{guild} #{channel}</h2>{messages}"));
            }
        }
    }
    if body.is_empty() {
        body.push_str("<p>No messages yet.</p>");
    }
    whole_page("Discord", &body)
}

fn shown(message: &Message) -> String {
    let all = |value: &Value, shown: fn(&Value) -> String| -> String {
        value.as_array().into_iter().flatten().map(shown).collect()
    };
    let text = written(&message.body["content"]);
    let embeds = all(&message.body["embeds"], shown_embed);
    let rows = message.body["components"].as_array().into_iter().flatten();
    let buttons: String = rows.map(|row| all(&row["components"], shown_button)).collect();
    format!("<article><small>Deptex <b>APP</b></small>{text}{embeds}<p>{buttons}</p></article>")
}

fn shown_embed(embed: &Value) -> String {
    let text = |name: &str| embed[name].as_str().unwrap_or_default();
    let title = markdown::text(text("title"));
    let title = link(text("url"), &title);
    let fields = embed["fields"].as_array().into_iter().flatten().map(|field| {
        let name = escape(field["name"].as_str().unwrap_or_default());
        format!("<b>{name}</b> {}\n", markdown::html(field["value"].as_str().unwrap_or_default()))
    });
    let fields: String = fields.collect();
    let footer = escape(embed["footer"]["text"].as_str().unwrap_or_default());
    let said = written(&embed["description"]);
    format!("<h3>{title}</h3>{said}<pre>{fields}</pre><small>{footer}</small>")
}

fn written(text: &Value) -> String {
    match text.as_str().filter(|text| !text.is_empty()) {
        Some(text) => format!("<pre>{}</pre>", markdown::html(text)),
        None => String::new(),
    }
}

fn shown_button(component: &Value) -> String {
    match (component["url"].as_str(), component["label"].as_str()) {
        (Some(url), Some(label)) => button(url, label),
        _ => String::new(),
    }
}
