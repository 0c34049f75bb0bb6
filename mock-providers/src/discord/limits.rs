//! What a Discord message may hold, and how it reads.

use serde_json::{Value, json};

type Problem = (u64, Value);

const INVALID_FORM: u64 = 50_035;
const EMPTY_MESSAGE: u64 = 50_006;

/// Whether Discord takes a message.
pub(super) fn check(body: &Value) -> Result<(), Problem> {
    let embeds: Vec<&Value> = body["embeds"].as_array().into_iter().flatten().collect();
    let content = body["content"].as_str().unwrap_or_default();
    if content.is_empty() && embeds.is_empty() {
        return Err((EMPTY_MESSAGE, json!("Cannot send an empty message")));
    }
    at_most("content", content, 2000)?;
    if embeds.len() > 10 {
        return Err(invalid("embeds", "Must be 10 or fewer in length."));
    }
    embeds.iter().try_for_each(|embed| check_embed(embed))?;
    let all: usize = embeds.iter().map(|embed| weight(embed)).sum();
    if all > 6000 {
        return Err(invalid("embeds", "Embed size exceeds maximum size of 6000"));
    }
    match &body["nonce"] {
        Value::String(nonce) => at_most("nonce", nonce, 25)?,
        Value::Null | Value::Number(_) => {}
        _ => return Err(invalid("nonce", "Must be a string or an integer.")),
    }
    if body["allowed_mentions"]["parse"] != json!([]) {
        // Discord would take it. But then customers' texts could call everybody.
        return Err(invalid("allowed_mentions", "is not {\"parse\":[]}"));
    }
    buttons(body)
}

fn invalid(field: &str, why: &str) -> Problem {
    let mut errors = json!({});
    errors[field] = json!({ "_errors": [{ "code": "BASE_TYPE_BAD_LENGTH", "message": why }] });
    (INVALID_FORM, errors)
}

fn at_most(field: &str, text: &str, most: usize) -> Result<(), Problem> {
    match text.chars().count() > most {
        true => Err(invalid(field, &format!("Must be {most} or fewer in length."))),
        false => Ok(()),
    }
}

fn check_embed(embed: &Value) -> Result<(), Problem> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    at_most("embeds.title", &text(&embed["title"]), 256)?;
    at_most("embeds.description", &text(&embed["description"]), 4096)?;
    at_most("embeds.footer.text", &text(&embed["footer"]["text"]), 2048)?;
    at_most("embeds.author.name", &text(&embed["author"]["name"]), 256)?;
    at_most("embeds.url", &text(&embed["url"]), 2048)?;
    let fields: Vec<&Value> = embed["fields"].as_array().into_iter().flatten().collect();
    if fields.len() > 25 {
        return Err(invalid("embeds.fields", "Must be 25 or fewer in length."));
    }
    for field in fields {
        for (name, most) in [("name", 256), ("value", 1024)] {
            let value = text(&field[name]);
            if value.trim().is_empty() {
                return Err(invalid("embeds.fields", &format!("{name}: This field is required")));
            }
            at_most("embeds.fields", &value, most)?;
        }
    }
    Ok(())
}

/// What counts toward 6,000.
fn weight(embed: &Value) -> usize {
    let length = |value: &Value| value.as_str().unwrap_or_default().chars().count();
    let fields = embed["fields"].as_array().into_iter().flatten();
    let fields: usize = fields.map(|field| length(&field["name"]) + length(&field["value"])).sum();
    length(&embed["title"])
        + length(&embed["description"])
        + length(&embed["footer"]["text"])
        + length(&embed["author"]["name"])
        + fields
}

fn buttons(body: &Value) -> Result<(), Problem> {
    let rows: Vec<&Value> = body["components"].as_array().into_iter().flatten().collect();
    if rows.len() > 5 {
        return Err(invalid("components", "Must be 5 or fewer in length."));
    }
    for button in rows.iter().flat_map(|row| row["components"].as_array().into_iter().flatten()) {
        at_most("components.label", button["label"].as_str().unwrap_or_default(), 80)?;
        at_most("components.url", button["url"].as_str().unwrap_or_default(), 512)?;
    }
    Ok(())
}

/// Whether a message notifies somebody. Embeds never do.
pub(super) fn pings(body: &Value) -> bool {
    let content = body["content"].as_str().unwrap_or_default();
    let named = ["@everyone", "@here", "<@"].iter().any(|name| content.contains(name));
    named && body["allowed_mentions"]["parse"] != json!([])
}

/// A message as a person reads it, line by line.
pub(super) fn rendered(body: &Value) -> String {
    let mut lines = Vec::new();
    let mut add = |text: &Value, around: &str| {
        if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
            lines.push(format!("{around}{text}{around}"));
        }
    };
    add(&body["content"], "");
    for embed in body["embeds"].as_array().into_iter().flatten() {
        add(&embed["title"], "**");
        add(&embed["url"], "");
        add(&embed["description"], "");
        for field in embed["fields"].as_array().into_iter().flatten() {
            let (name, value) = (field["name"].as_str(), field["value"].as_str());
            add(&json!(format!("{}: {}", name.unwrap_or_default(), value.unwrap_or_default())), "");
        }
        add(&embed["footer"]["text"], "");
    }
    for row in body["components"].as_array().into_iter().flatten() {
        for button in row["components"].as_array().into_iter().flatten() {
            let (label, url) = (button["label"].as_str(), button["url"].as_str());
            add(
                &json!(format!("[{}]({})", label.unwrap_or_default(), url.unwrap_or_default())),
                "",
            );
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(embed: &Value) -> Value {
        json!({ "embeds": [embed], "allowed_mentions": { "parse": [] } })
    }

    #[test]
    fn limits_are_kept_to_the_letter() {
        let x = |count: usize| "x".repeat(count);
        assert!(check(&message(&json!({ "title": x(256), "description": x(4096) }))).is_ok());
        let cases = [
            (json!({}), EMPTY_MESSAGE),
            (json!({ "content": x(2001), "allowed_mentions": { "parse": [] } }), INVALID_FORM),
            (json!({ "content": "x" }), INVALID_FORM),
            (message(&json!({ "title": x(257) })), INVALID_FORM),
            (message(&json!({ "description": x(4097) })), INVALID_FORM),
            (message(&json!({ "fields": [{ "name": "a", "value": "" }] })), INVALID_FORM),
            (message(&json!({ "fields": [{ "name": "a", "value": x(1025) }] })), INVALID_FORM),
            (
                message(&json!({ "description": x(4096), "footer": { "text": x(1905) } })),
                INVALID_FORM,
            ),
        ];
        for (body, code) in cases {
            assert_eq!(check(&body).map_err(|(code, _)| code), Err(code), "{body}");
        }
    }
}
