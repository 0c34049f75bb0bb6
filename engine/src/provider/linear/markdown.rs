//! Words as Linear's Markdown, in which customers' text stays text.

use crate::provider::{
    text::{self, CUT},
    ticket::{LINK, Words},
};

/// How long a sentence or a fact may become by being escaped.
const TEXT_CHARS_MAX: usize = 6_000;
const FACT_CHARS_MAX: usize = 500;

/// The words, the severity first and one link at the end.
pub(super) fn document(words: &Words) -> String {
    let first = match words.news {
        Some(news) => format!("{} **{}** · {news}", words.symbol, words.state),
        None => format!("{} **{}**", words.symbol, words.state),
    };
    let sentence = text::clip(&text::markdown(&words.text), TEXT_CHARS_MAX, CUT);
    let facts = words.facts.iter().map(|(name, value)| {
        format!("- **{name}:** {}\n", text::clip(&text::markdown(value), FACT_CHARS_MAX, "…"))
    });
    let facts: String = facts.collect();
    let url = words.url.replace('(', "%28").replace(')', "%29");
    format!("{first}\n\n{sentence}\n\n{facts}\n[{LINK}]({url})")
}
