//! Words as the small part of HTML that Asana takes, in which customers' text stays text.
//!
//! <https://developers.asana.com/docs/rich-text>

use crate::provider::{
    text,
    ticket::{LINK, Words},
};

/// The words, the severity first and one link at the end. Line breaks are part of the text there.
pub(super) fn document(words: &Words) -> String {
    let first = match words.news {
        Some(news) => {
            format!("{} <strong>{}</strong> · {}", words.symbol, words.state, text::html(news))
        }
        None => format!("{} <strong>{}</strong>", words.symbol, words.state),
    };
    let sentence = text::html(&words.text);
    let facts = words
        .facts
        .iter()
        .map(|(name, value)| format!("<li><strong>{name}:</strong> {}</li>", text::html(value)));
    let facts: String = facts.collect();
    let facts = if facts.is_empty() { facts } else { format!("<ul>{facts}</ul>") };
    format!(
        "<body>{first}\n\n{sentence}\n{facts}<a href=\"{}\">{LINK}</a></body>",
        attribute(&words.url)
    )
}

/// An address as an attribute's value. It is ours, so nothing in it is kept from being a link.
fn attribute(url: &str) -> String {
    url.replace('&', "&amp;").replace('<', "%3C").replace('"', "%22")
}
