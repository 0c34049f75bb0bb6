//! Block Kit: the limits that Slack enforces, and how blocks read.

use serde_json::Value;

use super::{mrkdwn, rich_text};

/// Why blocks are refused: Slack's code, and what is wrong.
type Problem = (&'static str, String);

/// Undocumented, but seen: <https://github.com/slackapi/bolt-js/issues/2509>.
const CHARACTERS_MAX: usize = 13_200;

/// Whether Slack takes these blocks. Null is none.
pub(super) fn check(blocks: &Value) -> Result<(), Problem> {
    if blocks.is_null() {
        return Ok(());
    }
    let list = blocks.as_array().ok_or_else(|| invalid("blocks is no list"))?;
    if list.len() > 50 {
        return Err(invalid("more than 50 blocks"));
    }
    for (index, block) in list.iter().enumerate() {
        check_block(block).map_err(|what| invalid(&format!("blocks/{index}: {what}")))?;
    }
    let characters = texts(blocks).iter().map(|text| text.chars().count()).sum::<usize>();
    if characters > CHARACTERS_MAX {
        return Err(("msg_blocks_too_long", format!("{characters} characters in all blocks")));
    }
    Ok(())
}

fn invalid(what: &str) -> Problem {
    ("invalid_blocks", what.to_owned())
}

fn check_block(block: &Value) -> Result<(), String> {
    let kind = block["type"].as_str().unwrap_or_default();
    limit(block, "block_id", 255)?;
    match kind {
        "divider" => only(block, &["type", "block_id"]),
        "header" => {
            only(block, &["type", "block_id", "text"])?;
            text(&block["text"], "text", &["plain_text"], 150)
        }
        "section" => {
            only(block, &["type", "block_id", "text", "fields", "accessory", "expand"])?;
            if block["text"].is_null() && block["fields"].is_null() {
                return Err("a section without text and fields".to_owned());
            }
            if !block["text"].is_null() {
                text(&block["text"], "text", &["plain_text", "mrkdwn"], 3000)?;
            }
            each(block, "fields", 10, |field| {
                text(field, "fields", &["plain_text", "mrkdwn"], 2000)
            })?;
            match &block["accessory"] {
                Value::Null => Ok(()),
                accessory => button(accessory),
            }
        }
        "context" => {
            only(block, &["type", "block_id", "elements"])?;
            each(block, "elements", 10, |e| text(e, "elements", &["plain_text", "mrkdwn"], 3000))?;
            filled(block)
        }
        "actions" => {
            only(block, &["type", "block_id", "elements"])?;
            each(block, "elements", 25, button)?;
            filled(block)
        }
        "rich_text" => {
            only(block, &["type", "block_id", "elements"])?;
            filled(block)?;
            each(block, "elements", usize::MAX, rich_text::check)
        }
        other => Err(format!("unsupported type: {other}")),
    }
}

fn filled(block: &Value) -> Result<(), String> {
    match block["elements"].as_array() {
        Some(elements) if !elements.is_empty() => Ok(()),
        _ => Err("no elements".to_owned()),
    }
}

fn button(button: &Value) -> Result<(), String> {
    if button["type"] != "button" {
        return Err(format!("unsupported element: {}", button["type"]));
    }
    only(
        button,
        &["type", "text", "action_id", "url", "value", "style", "accessibility_label", "confirm"],
    )?;
    text(&button["text"], "text", &["plain_text"], 75)?;
    for (name, most) in
        [("action_id", 255), ("url", 3000), ("value", 2000), ("accessibility_label", 75)]
    {
        limit(button, name, most)?;
    }
    match button["url"].as_str() {
        Some(url) if !url.starts_with("https://") && !url.starts_with("http://") => {
            Err(format!("url {url} is no web address"))
        }
        _ => Ok(()),
    }
}

fn text(object: &Value, name: &str, kinds: &[&str], most: usize) -> Result<(), String> {
    let kind = object["type"].as_str().unwrap_or_default();
    if !kinds.contains(&kind) {
        return Err(format!("{name}: the type {kind:?} is not one of {kinds:?}"));
    }
    let more = if kind == "mrkdwn" { "verbatim" } else { "emoji" };
    only(object, &["type", "text", more])?;
    match object["text"].as_str().map(|text| text.chars().count()) {
        None | Some(0) => Err(format!("{name}: must be more than 0 characters")),
        Some(length) if length > most => {
            Err(format!("{name}: must be less than {} characters", most + 1))
        }
        Some(_) => Ok(()),
    }
}

pub(super) fn each(
    block: &Value,
    name: &str,
    most: usize,
    check: impl Fn(&Value) -> Result<(), String>,
) -> Result<(), String> {
    let items = match &block[name] {
        Value::Null => return Ok(()),
        Value::Array(items) => items,
        _ => return Err(format!("{name} is no list")),
    };
    if items.len() > most {
        return Err(format!("{name}: no more than {most} items allowed"));
    }
    items.iter().try_for_each(check)
}

pub(super) fn only(object: &Value, known: &[&str]) -> Result<(), String> {
    let fields = object.as_object().ok_or("no object")?;
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("the field {name} is unknown")),
        None => Ok(()),
    }
}

pub(super) fn limit(object: &Value, name: &str, most: usize) -> Result<(), String> {
    match object[name].as_str() {
        Some(text) if text.chars().count() > most => {
            Err(format!("{name}: more than {most} characters"))
        }
        _ => Ok(()),
    }
}

/// All texts that people may read.
fn texts(blocks: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    walk(blocks, &mut |object| found.extend(object["text"].as_str()));
    found
}

/// Whether something in them notifies somebody by name.
pub(super) fn pings(blocks: &Value) -> bool {
    let mut pings = false;
    walk(blocks, &mut |object| {
        pings |= match object["type"].as_str().unwrap_or_default() {
            "mrkdwn" => mrkdwn::pings(object["text"].as_str().unwrap_or_default()),
            "user" | "usergroup" | "broadcast" => true,
            _ => false,
        };
    });
    pings
}

/// Shows every object, the outer ones first.
fn walk<'v>(value: &'v Value, see: &mut impl FnMut(&'v Value)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        Value::Object(fields) => {
            see(value);
            fields.values().for_each(|inner| walk(inner, see));
        }
        _ => {}
    }
}

/// Blocks as a person reads them, line by line.
pub(super) fn rendered(blocks: &[Value]) -> String {
    let lines: Vec<String> = blocks.iter().map(rendered_block).filter(|l| !l.is_empty()).collect();
    lines.join("\n")
}

fn rendered_block(block: &Value) -> String {
    let plain = |object: &Value| match object["type"].as_str() {
        Some("mrkdwn") => mrkdwn::text(object["text"].as_str().unwrap_or_default()),
        _ => object["text"].as_str().unwrap_or_default().to_owned(),
    };
    let all = |name: &str, between: &str| {
        let items = block[name].as_array().into_iter().flatten();
        items.map(plain).collect::<Vec<_>>().join(between)
    };
    match block["type"].as_str().unwrap_or_default() {
        "header" => format!("== {} ==", plain(&block["text"])),
        "divider" => "----".to_owned(),
        "section" => {
            let mut parts = vec![plain(&block["text"]), all("fields", "\n")];
            parts.extend(shown_button(&block["accessory"]));
            parts.retain(|part| !part.is_empty());
            parts.join("\n")
        }
        "context" => all("elements", " | "),
        "rich_text" => rich_text::text(block),
        "actions" => {
            let buttons = block["elements"].as_array().into_iter().flatten();
            buttons.filter_map(shown_button).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

fn shown_button(button: &Value) -> Option<String> {
    let label = button["text"]["text"].as_str()?;
    Some(format!("[{label}]({})", button["url"].as_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn section(text: &str) -> Value {
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
    }

    #[test]
    fn limits_are_kept_to_the_letter() {
        assert_eq!(check(&json!([section(&"x".repeat(3000))])), Ok(()));
        let cases = [
            (json!([section(&"x".repeat(3001))]), "invalid_blocks"),
            (json!([section("")]), "invalid_blocks"),
            (json!(vec![section("x"); 51]), "invalid_blocks"),
            (json!(vec![section(&"x".repeat(3000)); 5]), "msg_blocks_too_long"),
            (
                json!([{ "type": "header", "text": { "type": "mrkdwn", "text": "x" } }]),
                "invalid_blocks",
            ),
            (
                json!([{ "type": "header", "text": { "type": "plain_text", "text": "x".repeat(151) } }]),
                "invalid_blocks",
            ),
            (json!([{ "type": "divider", "colour": "red" }]), "invalid_blocks"),
            (json!([{ "type": "blink" }]), "invalid_blocks"),
        ];
        for (blocks, code) in cases {
            assert_eq!(check(&blocks).map_err(|(code, _)| code), Err(code), "{blocks}");
        }
    }

    #[test]
    fn blocks_read_as_people_see_them() {
        let blocks = json!([
            { "type": "header", "text": { "type": "plain_text", "text": "Critical" } },
            section("*lodash* &lt;4.17.21 <https://app.deptex.dev|View>"),
            { "type": "actions", "elements": [
                { "type": "button", "text": { "type": "plain_text", "text": "Open" }, "url": "https://x.dev" }
            ] },
        ]);
        assert_eq!(check(&blocks), Ok(()));
        let list = blocks.as_array().expect("a list");
        assert_eq!(
            rendered(list),
            "== Critical ==\nlodash <4.17.21 View (https://app.deptex.dev)\n[Open](https://x.dev)"
        );
        assert!(!pings(&blocks));
        assert!(pings(&json!([section("look <!channel>")])));
    }
}
