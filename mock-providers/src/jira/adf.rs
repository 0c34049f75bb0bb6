//! The Atlassian Document Format: enough to refuse what is none, and to read it as people do.
//! The published schema tells the rest.

use serde_json::Value;

use crate::page::{escape, link};

/// Whether it is a document at all.
pub(super) fn check(document: &Value) -> Result<(), String> {
    if document["type"] != "doc" || document["version"] != 1 || !document["content"].is_array() {
        return Err(
            "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
                .to_owned(),
        );
    }
    node(document)
}

fn node(value: &Value) -> Result<(), String> {
    let kind = value["type"].as_str().ok_or("INVALID_INPUT: a node without a type")?;
    if kind == "text" && value["text"].as_str().is_none_or(str::is_empty) {
        return Err("INVALID_INPUT: a text node without text".to_owned());
    }
    value["content"].as_array().into_iter().flatten().try_for_each(node)
}

/// Whether somebody is notified by name.
pub(super) fn pings(value: &Value) -> bool {
    match value {
        Value::String(wiki) => wiki.contains("[~"),
        _ if value["type"] == "mention" => true,
        _ => value["content"].as_array().into_iter().flatten().any(pings),
    }
}

/// A document, or wiki markup, as a person reads it.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(wiki) => wiki.clone(),
        _ => blocks(value, &|inline| inline_text(inline)).join("\n"),
    }
}

/// The same as HTML.
pub(super) fn html(value: &Value) -> String {
    match value {
        Value::String(wiki) => format!("<pre>{}</pre>", escape(wiki)),
        _ => format!("<pre>{}</pre>", blocks(value, &|inline| inline_html(inline)).join("\n")),
    }
}

const INLINE: [&str; 7] = ["text", "hardBreak", "emoji", "mention", "inlineCard", "date", "status"];

/// Lines of all blocks below a node.
fn blocks(parent: &Value, shown: &dyn Fn(&Value) -> String) -> Vec<String> {
    let children: Vec<&Value> = parent["content"].as_array().into_iter().flatten().collect();
    let is_inline = |child: &&Value| INLINE.contains(&child["type"].as_str().unwrap_or_default());
    if !children.is_empty() && children.iter().all(is_inline) {
        let line: String = children.into_iter().map(shown).collect();
        return line.split('\n').map(str::to_owned).collect();
    }
    let mut lines = Vec::new();
    for child in children {
        match child["type"].as_str().unwrap_or_default() {
            "rule" => lines.push("----".to_owned()),
            "listItem" => {
                let mut mark = "\u{2022} ";
                for line in blocks(child, shown) {
                    lines.push(format!("{mark}{line}"));
                    mark = "  ";
                }
            }
            "tableRow" => {
                let cells = child["content"].as_array().into_iter().flatten();
                let cells: Vec<String> = cells.map(|cell| blocks(cell, shown).join(" ")).collect();
                lines.push(cells.join(" | "));
            }
            _ => lines.extend(blocks(child, shown)),
        }
    }
    lines
}

fn inline_text(inline: &Value) -> String {
    let text = inline["text"].as_str().unwrap_or_default();
    match inline["type"].as_str().unwrap_or_default() {
        "hardBreak" => "\n".to_owned(),
        "inlineCard" => inline["attrs"]["url"].as_str().unwrap_or_default().to_owned(),
        "emoji" => inline["attrs"]["shortName"].as_str().unwrap_or_default().to_owned(),
        "mention" | "date" | "status" => {
            inline["attrs"]["text"].as_str().unwrap_or("<mention>").to_owned()
        }
        _ => match href(inline) {
            Some(url) if url != text => format!("{text} ({url})"),
            _ => text.to_owned(),
        },
    }
}

fn inline_html(inline: &Value) -> String {
    if let Some(url) = href(inline) {
        return link(url, inline["text"].as_str().unwrap_or_default());
    }
    let mut html = escape(&inline_text(inline));
    for mark in inline["marks"].as_array().into_iter().flatten() {
        let tag = match mark["type"].as_str().unwrap_or_default() {
            "strong" => "b",
            "em" => "i",
            "code" => "code",
            "strike" => "s",
            _ => continue,
        };
        html = format!("<{tag}>{html}</{tag}>");
    }
    html
}

fn href(inline: &Value) -> Option<&str> {
    let marks = inline["marks"].as_array()?;
    marks.iter().find(|mark| mark["type"] == "link")?["attrs"]["href"].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_is_no_document_and_a_document_reads_line_by_line() {
        assert!(check(&json!("plain text")).is_err());
        assert!(
            check(&json!({ "type": "doc", "version": 1, "content": [
            { "type": "paragraph", "content": [{ "type": "text", "text": "" }] }
        ] }))
            .is_err()
        );
        let document = json!({ "type": "doc", "version": 1, "content": [
            { "type": "paragraph", "content": [
                { "type": "text", "text": "Severity: ", "marks": [{ "type": "strong" }] },
                { "type": "text", "text": "critical" },
                { "type": "hardBreak" },
                { "type": "text", "text": "View", "marks": [
                    { "type": "link", "attrs": { "href": "https://app.deptex.dev" } }
                ] },
            ] },
            { "type": "bulletList", "content": [
                { "type": "listItem", "content": [
                    { "type": "paragraph", "content": [{ "type": "text", "text": "lodash" }] }
                ] },
            ] },
        ] });
        assert_eq!(check(&document), Ok(()));
        assert_eq!(
            text(&document),
            "Severity: critical\nView (https://app.deptex.dev)\n\u{2022} lodash"
        );
        assert!(html(&document).contains("<b>Severity: </b>critical"));
    }
}
