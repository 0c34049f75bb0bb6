//! Slack's rich text: text with its style beside it, which nothing in the text can change.

use serde_json::Value;

use super::blocks::{each, only};
use crate::page::{escape, link};

/// Whether Slack takes a part of a rich text block.
pub(super) fn check(part: &Value) -> Result<(), String> {
    match part["type"].as_str().unwrap_or_default() {
        "rich_text_section" => {
            only(part, &["type", "elements"])?;
            each(part, "elements", usize::MAX, element)
        }
        "rich_text_quote" | "rich_text_preformatted" => {
            only(part, &["type", "elements", "border"])?;
            each(part, "elements", usize::MAX, element)
        }
        "rich_text_list" => {
            only(part, &["type", "elements", "style", "indent", "offset", "border"])?;
            if !matches!(part["style"].as_str(), Some("bullet" | "ordered")) {
                return Err("a list without a style".to_owned());
            }
            each(part, "elements", usize::MAX, check)
        }
        other => Err(format!("unsupported rich text: {other}")),
    }
}

fn element(element: &Value) -> Result<(), String> {
    match element["type"].as_str().unwrap_or_default() {
        "text" => {
            only(element, &["type", "text", "style"])?;
            match element["text"].as_str() {
                None | Some("") => Err("a text without text".to_owned()),
                Some(_) => style(&element["style"]),
            }
        }
        "link" => {
            only(element, &["type", "url", "text", "style", "unsafe"])?;
            match element["url"].as_str() {
                None | Some("") => Err("a link without url".to_owned()),
                Some(_) => style(&element["style"]),
            }
        }
        "emoji" => only(element, &["type", "name", "unicode"]),
        "date" => only(element, &["type", "timestamp", "format", "url", "fallback"]),
        "user" | "usergroup" | "broadcast" | "channel" => Ok(()),
        other => Err(format!("unsupported element: {other}")),
    }
}

fn style(style: &Value) -> Result<(), String> {
    match style {
        Value::Null => Ok(()),
        style => only(style, &["bold", "italic", "strike", "code", "underline"]),
    }
}

/// As a person reads it.
pub(super) fn text(block: &Value) -> String {
    let part = |part: &Value| parts(part, &|element| element_text(element));
    let all = block["elements"].as_array().into_iter().flatten();
    all.map(part).collect::<Vec<_>>().join("\n")
}

/// As HTML.
pub(super) fn html(block: &Value) -> String {
    let part = |part: &Value| parts(part, &|element| element_html(element));
    let all = block["elements"].as_array().into_iter().flatten();
    all.map(part).collect::<Vec<_>>().join("<br>")
}

fn parts(part: &Value, shown: &dyn Fn(&Value) -> String) -> String {
    let inner = part["elements"].as_array().into_iter().flatten();
    if part["type"] == "rich_text_list" {
        let lines: Vec<String> =
            inner.map(|line| format!("\u{2022} {}", parts(line, shown))).collect();
        return lines.join("\n");
    }
    inner.map(shown).collect()
}

fn element_text(element: &Value) -> String {
    let text = element["text"].as_str();
    match element["type"].as_str().unwrap_or_default() {
        "text" => text.unwrap_or_default().to_owned(),
        "link" => {
            let url = element["url"].as_str().unwrap_or_default();
            text.map_or_else(|| url.to_owned(), |text| format!("{text} ({url})"))
        }
        "emoji" => format!(":{}:", element["name"].as_str().unwrap_or_default()),
        "date" => element["fallback"].as_str().unwrap_or_default().to_owned(),
        mention => format!("<{mention}>"),
    }
}

fn element_html(element: &Value) -> String {
    let text = element_text(element);
    if element["type"] == "link" {
        let url = element["url"].as_str().unwrap_or_default();
        return link(url, element["text"].as_str().unwrap_or(url));
    }
    let mut html = escape(&text);
    for (name, tag) in [("bold", "b"), ("italic", "i"), ("strike", "s"), ("code", "code")] {
        if element["style"][name] == true {
            html = format!("<{tag}>{html}</{tag}>");
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn style_stands_beside_the_text_and_never_in_it() {
        let block = json!({ "type": "rich_text", "elements": [
            { "type": "rich_text_section", "elements": [
                { "type": "text", "text": "Package: ", "style": { "bold": true } },
                { "type": "text", "text": "*lodash* <b>" },
            ] },
        ] });
        assert_eq!(check(&block["elements"][0]), Ok(()));
        assert_eq!(text(&block), "Package: *lodash* <b>");
        assert_eq!(html(&block), "<b>Package: </b>*lodash* &lt;b&gt;");
        let empty =
            json!({ "type": "rich_text_section", "elements": [{ "type": "text", "text": "" }] });
        assert!(check(&empty).is_err());
    }
}
