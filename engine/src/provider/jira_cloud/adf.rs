//! Words as an Atlassian document: text there is text, whatever it contains.
//!
//! <https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/>

use serde_json::{Value, json};

use crate::provider::ticket::{LINK, Words};

/// The words, the severity first and one link at the end.
pub(super) fn document(words: &Words) -> Value {
    let mut first = vec![text(&format!("{} ", words.symbol)), strong(words.state)];
    first.extend(words.news.map(|news| text(&format!(" · {news}"))));
    let fact = |(name, value): &(&str, String)| {
        let line = vec![strong(&format!("{name}: ")), text(value)];
        json!({ "type": "listItem", "content": [paragraph(line)] })
    };
    let facts: Vec<_> = words.facts.iter().map(fact).collect();
    let mut content = vec![paragraph(first), paragraph(vec![text(&words.text)])];
    if !facts.is_empty() {
        content.push(json!({ "type": "bulletList", "content": facts }));
    }
    let link = json!({ "type": "link", "attrs": { "href": words.url } });
    content.push(paragraph(vec![json!({ "type": "text", "text": LINK, "marks": [link] })]));
    json!({ "version": 1, "type": "doc", "content": content })
}

/// A paragraph. Jira refuses documents with an empty text, so these are left out.
fn paragraph(texts: Vec<Value>) -> Value {
    let texts: Vec<_> = texts.into_iter().filter(|node| node["text"] != "").collect();
    json!({ "type": "paragraph", "content": texts })
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn strong(text: &str) -> Value {
    json!({ "type": "text", "text": text, "marks": [{ "type": "strong" }] })
}
