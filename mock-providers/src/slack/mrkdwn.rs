//! Slack's text markup, read as Slack reads it.

use crate::page::{escape, link};

/// A piece of marked-up text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// `<https://…|label>`.
    Link {
        url: String,
        label: String,
    },
    /// `<@U…>`, `<!channel>`, `<#C…>`.
    Mention(String),
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let Some(length) = rest[start..].find('>') else { break };
        if start > 0 {
            pieces.push(Piece::Text(unescaped(&rest[..start])));
        }
        let inside = &rest[start + 1..start + length];
        let (target, label) = inside.split_once('|').unwrap_or((inside, inside));
        pieces.push(match target {
            // A moment, shown by each reader's own clock; here as where it cannot be.
            date if date.starts_with("!date^") => Piece::Text(unescaped(label)),
            who if who.starts_with(['@', '!', '#']) => Piece::Mention(unescaped(inside)),
            url => Piece::Link { url: unescaped(url), label: unescaped(label) },
        });
        rest = &rest[start + length + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(unescaped(rest)));
    }
    pieces
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Whether it notifies somebody by name.
pub(super) fn pings(text: &str) -> bool {
    pieces(text).iter().any(|piece| matches!(piece, Piece::Mention(_)))
}

/// As a person reads it, without bold and italics.
pub(super) fn text(text: &str) -> String {
    let shown = pieces(text).into_iter().map(|piece| match piece {
        Piece::Text(text) => styled(&text).into_iter().map(|(_, part)| part).collect(),
        Piece::Link { url, label } if url == label => url,
        Piece::Link { url, label } => format!("{label} ({url})"),
        Piece::Mention(who) => format!("<{who}>"),
    });
    shown.collect()
}

/// As HTML.
pub(super) fn html(text: &str) -> String {
    let shown = pieces(text).into_iter().map(|piece| match piece {
        Piece::Text(text) => styled(&text)
            .into_iter()
            .map(|(tag, part)| match tag {
                None => escape(&part),
                Some(tag) => format!("<{tag}>{}</{tag}>", escape(&part)),
            })
            .collect(),
        Piece::Link { url, label } => link(&url, &label),
        Piece::Mention(who) => format!("<mark>{}</mark>", escape(&who)),
    });
    shown.collect()
}

/// Text between pairs of `*`, `_`, `~` and backticks, with the tag that shows it.
fn styled(text: &str) -> Vec<(Option<&'static str>, String)> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let tag = match letter {
            '*' => Some("b"),
            '_' => Some("i"),
            '~' => Some("s"),
            '`' => Some("code"),
            _ => None,
        };
        // A mark opens at the beginning of a word and closes before the line ends.
        let opens = plain.chars().last().is_none_or(|before| !before.is_alphanumeric());
        let line = rest[letter.len_utf8()..].split('\n').next().unwrap_or_default();
        let inside = line.find(letter).map(|end| &line[..end]).filter(|inside| {
            !inside.is_empty() && !inside.starts_with(' ') && !inside.ends_with(' ')
        });
        match (tag, inside) {
            (Some(tag), Some(inside)) if opens => {
                parts.push((None, std::mem::take(&mut plain)));
                parts.push((Some(tag), inside.to_owned()));
                rest = &rest[inside.len() + 2..];
            }
            _ => {
                plain.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    parts.push((None, plain));
    parts.retain(|(_, part)| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_is_text_and_unescaped_text_is_markup() {
        assert_eq!(text("&lt;!channel&gt; a_b_c 2*3"), "<!channel> a_b_c 2*3");
        assert!(!pings("&lt;!channel&gt;"));
        assert!(pings("<!channel>"));
        assert!(pings("hi <@U1>"));
        let date = "<!date^1772020800^{date_short}|25 Feb 2026>";
        assert_eq!((text(date), pings(date)), ("25 Feb 2026".to_owned(), false));
        assert_eq!(
            html("*bold* <https://x.dev|a&amp;b>"),
            "<b>bold</b> <a href=\"https://x.dev\" rel=\"noreferrer\">a&amp;b</a>"
        );
    }
}
