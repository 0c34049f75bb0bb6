//! Markdown, read as Linear and the code hosts read it: as much of it as a reader notices.

use crate::page::{escape, link};

/// A piece of marked-up text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Bold(String),
    /// `[label](https://…)`, or an address by itself.
    Link {
        url: String,
        label: String,
    },
    /// `@name`.
    Mention(String),
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let before = plain.chars().last();
        let (piece, length) = match letter {
            '\\' => {
                let escaped = rest[1..].chars().next().filter(char::is_ascii_punctuation);
                plain.push(escaped.unwrap_or('\\'));
                rest = &rest[1 + escaped.map_or(0, char::len_utf8)..];
                continue;
            }
            '&' => {
                let (letter, length) = entity(rest);
                plain.push(letter);
                rest = &rest[length..];
                continue;
            }
            '*' => bold(rest),
            '[' => labelled(rest),
            'h' if !before.is_some_and(char::is_alphanumeric) => address(rest),
            '@' if !before.is_some_and(char::is_alphanumeric) => mention(rest),
            _ => None,
        }
        .map_or((None, letter.len_utf8()), |(piece, length)| (Some(piece), length));
        match piece {
            None => plain.push(letter),
            Some(piece) => {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                pieces.push(piece);
            }
        }
        rest = &rest[length..];
    }
    pieces.push(Piece::Text(plain));
    pieces.retain(|piece| *piece != Piece::Text(String::new()));
    pieces
}

/// The character that an entity stands for, and how much text it takes.
fn entity(rest: &str) -> (char, usize) {
    let known = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')];
    if let Some((name, letter)) = known.iter().find(|(name, _)| rest.starts_with(name)) {
        return (*letter, name.len());
    }
    let number = rest.strip_prefix("&#").and_then(|rest| rest.split_once(';'));
    let letter = number.and_then(|(n, _)| Some((char::from_u32(n.parse().ok()?)?, n.len() + 3)));
    letter.unwrap_or(('&', 1))
}

fn bold(rest: &str) -> Option<(Piece, usize)> {
    let inside = rest.strip_prefix("**")?.split_once("**")?.0;
    let is_bold = !inside.is_empty() && !inside.contains('\n');
    let text: String = pieces(inside).into_iter().map(|piece| said(&piece)).collect();
    is_bold.then(|| (Piece::Bold(text), inside.len() + 4))
}

fn labelled(rest: &str) -> Option<(Piece, usize)> {
    let (label, after) = rest.strip_prefix('[')?.split_once("](")?;
    let url = after.split_once(')')?.0;
    let is_link = !label.contains([']', '\n']) && !url.contains(char::is_whitespace);
    let piece = Piece::Link { url: url.to_owned(), label: label.to_owned() };
    is_link.then(|| (piece, label.len() + url.len() + 4))
}

fn address(rest: &str) -> Option<(Piece, usize)> {
    let after = rest.strip_prefix("https://").or_else(|| rest.strip_prefix("http://"))?;
    let ends = |c: char| c.is_whitespace() || "<>)]*".contains(c) || c == '\u{200b}';
    let end = rest.len() - after.len() + after.find(ends).unwrap_or(after.len());
    let url = rest[..end].to_owned();
    let is_address = after.starts_with(char::is_alphanumeric);
    is_address.then(|| (Piece::Link { label: url.clone(), url }, end))
}

fn mention(rest: &str) -> Option<(Piece, usize)> {
    let name = &rest[1..];
    let end = name.find(|c: char| !(c.is_alphanumeric() || "-_.".contains(c)));
    let name = &name[..end.unwrap_or(name.len())];
    (!name.is_empty()).then(|| (Piece::Mention(name.to_owned()), name.len() + 1))
}

fn said(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) | Piece::Bold(text) => text.clone(),
        Piece::Link { url, label } if url == label => url.clone(),
        Piece::Link { url, label } => format!("{label} ({url})"),
        Piece::Mention(who) => format!("@{who}"),
    }
}

/// Whether it notifies somebody by name: as a mention, or by the address of a person's page.
pub(crate) fn pings(text: &str) -> bool {
    pieces(text).iter().any(|piece| match piece {
        Piece::Mention(_) => true,
        Piece::Link { url, .. } => url.contains("/profiles/"),
        _ => false,
    })
}

/// As a person reads it, without bold.
pub(crate) fn text(text: &str) -> String {
    pieces(text).iter().map(said).collect()
}

/// As HTML, for where blanks and line breaks are kept. What hosts hide is left out.
pub(crate) fn html(text: &str) -> String {
    let hidden = text.rfind("<!--").filter(|_| text.trim_end().ends_with("-->"));
    let shown =
        pieces(text[..hidden.unwrap_or(text.len())].trim_end()).into_iter().map(
            |piece| match piece {
                Piece::Text(text) => escape(&text),
                Piece::Bold(text) => format!("<b>{}</b>", escape(&text)),
                Piece::Link { url, label } => link(&url, &label),
                Piece::Mention(who) => format!("<mark>@{}</mark>", escape(&who)),
            },
        );
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_is_text_and_unescaped_text_is_markup() {
        let escaped = "\\*\\*a\\*\\* &lt;b&gt; &#36;1 \\[x\\](y) ops@acme.com @\u{200b}ada";
        assert_eq!(text(escaped), "**a** <b> $1 [x](y) ops@acme.com @\u{200b}ada");
        assert!(!pings(escaped));
        for ping in ["hi @ada", "@ada", "see https://linear.app/acme/profiles/ada"] {
            assert!(pings(ping), "{ping}");
        }
        let marked = "**Critical** [View](https://x.dev/a)\nhttps://x.dev";
        assert_eq!(text(marked), "Critical View (https://x.dev/a)\nhttps://x.dev");
        let link = "<a href=\"https://x.dev\" rel=\"noreferrer\">https://x.dev</a>";
        assert_eq!(html("**a**\n\n<!-- deptex:x -->"), "<b>a</b>");
        assert_eq!(
            html(marked),
            format!(
                "<b>Critical</b> <a href=\"https://x.dev/a\" rel=\"noreferrer\">View</a>\n{link}"
            )
        );
    }
}
