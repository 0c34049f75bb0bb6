//! Asana's rich text: a little XHTML in one `body`, strictly read.
//!
//! <https://developers.asana.com/docs/rich-text>

use crate::page::{escape, link};

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A task's notes.
    Notes,
    /// A comment.
    Comment,
}

/// The tags that it takes.
const TAGS: [&str; 12] =
    ["body", "strong", "em", "u", "s", "code", "ol", "ul", "li", "a", "blockquote", "pre"];
/// The tags that only notes take.
const TAGS_OF_NOTES: [&str; 3] = ["h1", "h2", "hr"];

/// A piece of it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Open { tag: String, attributes: Vec<(String, String)> },
    Close(String),
    Text(String),
}

/// The pieces of a well-formed text.
fn pieces(html: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = html;
    while !rest.is_empty() {
        let Some(markup) = rest.strip_prefix('<') else {
            let (text, after) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
            pieces.push(Piece::Text(unescaped(text)?));
            rest = after;
            continue;
        };
        let (inside, after) = markup.split_once('>').ok_or("a tag does not end")?;
        rest = after;
        if let Some(tag) = inside.strip_prefix('/') {
            pieces.push(Piece::Close(tag.trim_end().to_owned()));
            continue;
        }
        let (inside, is_empty) = match inside.strip_suffix('/') {
            Some(inside) => (inside, true),
            None => (inside, false),
        };
        let (tag, attributes) = inside.split_once(' ').unwrap_or((inside, ""));
        let tag = tag.to_owned();
        pieces.push(Piece::Open { tag: tag.clone(), attributes: attributes_of(attributes)? });
        if is_empty {
            pieces.push(Piece::Close(tag));
        }
    }
    Ok(pieces)
}

fn attributes_of(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut attributes = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").ok_or("an attribute's value is not quoted")?;
        let (value, after) = after.split_once('"').ok_or("an attribute's value does not end")?;
        attributes.push((name.trim().to_owned(), unescaped(value)?));
        rest = after.trim_start();
    }
    Ok(attributes)
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let (name, after) = rest[at + 1..].split_once(';').ok_or("an & is not escaped")?;
        let number = name.strip_prefix('#').and_then(|number| match number.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => number.parse().ok(),
        });
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => number.and_then(char::from_u32).ok_or_else(|| format!("&{name}; is unknown"))?,
        });
        rest = after;
    }
    plain.push_str(rest);
    match plain.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        Some(c) => Err(format!("{c:?} cannot be in XML")),
        None => Ok(plain),
    }
}

/// Whether Asana can read it.
pub(super) fn check(html: &str, place: Place) -> Result<(), String> {
    let pieces = pieces(html).map_err(|why| format!("XML is invalid: {why}"))?;
    let mut open: Vec<&str> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let outer = open.last().copied();
        match piece {
            Piece::Open { tag, attributes } => {
                if (outer.is_none() || tag == "body") && (at > 0 || tag != "body") {
                    return Err("XML is invalid: the root is not one <body>".to_owned());
                }
                let of_notes = place == Place::Notes && TAGS_OF_NOTES.contains(&tag.as_str());
                if !TAGS.contains(&tag.as_str()) && !of_notes {
                    return Err(format!("the tag <{tag}> is not supported here"));
                }
                if (tag == "li") != matches!(outer, Some("ul" | "ol")) {
                    return Err(format!("<{tag}> cannot be in <{}>", outer.unwrap_or_default()));
                }
                if tag == "a" && open.contains(&"a") {
                    return Err("<a> cannot be in <a>".to_owned());
                }
                check_attributes(tag, attributes)?;
                open.push(tag);
            }
            Piece::Close(tag) => {
                if open.pop() != Some(tag) {
                    return Err(format!("XML is invalid: </{tag}> closes nothing"));
                }
            }
            Piece::Text(text)
                if matches!(outer, None | Some("ul" | "ol")) && !text.trim().is_empty() =>
            {
                return Err(format!("text cannot be in <{}>", outer.unwrap_or("nothing")));
            }
            Piece::Text(_) => {}
        }
    }
    match (pieces.is_empty(), open.last()) {
        (true, _) => Err("XML is invalid: it is empty".to_owned()),
        (_, Some(tag)) => Err(format!("XML is invalid: <{tag}> does not end")),
        (_, None) => Ok(()),
    }
}

fn check_attributes(tag: &str, attributes: &[(String, String)]) -> Result<(), String> {
    for (name, value) in attributes {
        let is_web =
            ["https://", "http://", "mailto:"].iter().any(|start| value.starts_with(start));
        match name.as_str() {
            "href" if tag == "a" && is_web => {}
            name if tag == "a" && name.starts_with("data-asana-") => {}
            _ => return Err(format!("<{tag}> cannot have {name}=\"{value}\"")),
        }
    }
    match tag == "a" && attributes.is_empty() {
        true => Err("<a> leads nowhere".to_owned()),
        false => Ok(()),
    }
}

/// A plain text as rich text.
pub(super) fn of(plain: &str) -> String {
    format!("<body>{}</body>", escape(plain))
}

/// What was refused before has no pieces.
fn shown(html: &str) -> Vec<Piece> {
    pieces(html).unwrap_or_default()
}

fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Whether it notifies somebody by name: by a mention, or by the address of a person's page.
pub(super) fn pings(html: &str) -> bool {
    shown(html).iter().any(|piece| {
        let Piece::Open { attributes, .. } = piece else { return false };
        let is_person = |href: &str| href.contains("/profile/");
        attributes.iter().any(|(name, _)| name.starts_with("data-asana-"))
            || attribute(attributes, "href").is_some_and(is_person)
    })
}

/// As a person reads it.
pub(super) fn text(html: &str) -> String {
    let mut text = String::new();
    let mut address = None;
    for piece in shown(html) {
        match piece {
            Piece::Text(plain) => text.push_str(&plain),
            Piece::Open { tag, attributes } => match tag.as_str() {
                "ul" | "ol" => text.push('\n'),
                "li" => text.push_str("\u{2022} "),
                "a" => address = attribute(&attributes, "href").map(str::to_owned),
                _ => {}
            },
            Piece::Close(tag) => match tag.as_str() {
                "li" | "h1" | "h2" | "blockquote" | "pre" | "hr" => text.push('\n'),
                "a" => text.extend(address.take().map(|address| format!(" ({address})"))),
                _ => {}
            },
        }
    }
    text.trim().to_owned()
}

/// As HTML, for where blanks and line breaks are kept.
pub(super) fn html(html: &str) -> String {
    let mut shown_html = String::new();
    let mut around: Option<(String, String)> = None;
    for piece in shown(html) {
        match piece {
            Piece::Text(plain) => match &mut around {
                Some((_, label)) => label.push_str(&plain),
                None => shown_html.push_str(&escape(&plain)),
            },
            Piece::Open { tag, attributes } if tag == "a" => {
                let url = attribute(&attributes, "href").unwrap_or_default().to_owned();
                around = Some((url, String::new()));
            }
            Piece::Close(tag) if tag == "a" => {
                let (url, label) = around.take().unwrap_or_default();
                shown_html.push_str(&link(&url, &label));
            }
            Piece::Open { tag, .. } if tag != "body" => shown_html.push_str(&format!("<{tag}>")),
            Piece::Close(tag) if tag != "body" => shown_html.push_str(&format!("</{tag}>")),
            _ => {}
        }
    }
    shown_html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strict_xhtml_of_the_known_tags_is_read() {
        let fine = [
            "<body/>",
            "<body>a &lt; b &amp; c &#39;d&#x27;\n\n<strong>e</strong></body>",
            "<body><ul>\n<li><em>a</em></li></ul><a href=\"https://x.dev/?a=1&amp;b=2\">b</a></body>",
            "<body><a data-asana-gid=\"1\"/></body>",
        ];
        for html in fine {
            assert_eq!(check(html, Place::Comment), Ok(()), "{html}");
        }
        let bad = [
            "",
            "plain",
            "<body>a",
            "<body>a</body>b",
            "<body>a</body><body>b</body>",
            "<strong>a</strong>",
            "<body><b>a</b></body>",
            "<body><em><strong>a</em></strong></body>",
            "<Body>a</Body>",
            "<body>a & b</body>",
            "<body>a &nbsp; b</body>",
            "<body>a < b</body>",
            "<body>a\u{7}</body>",
            "<body><li>a</li></body>",
            "<body><ul>a</ul></body>",
            "<body><ul><em>a</em></ul></body>",
            "<body><a>b</a></body>",
            "<body><a href=https://x.dev>b</a></body>",
            "<body><a href=\"javascript:alert(1)\">b</a></body>",
            "<body><em class=\"x\">a</em></body>",
            "<body><a href=\"https://x.dev\"><a href=\"https://y.dev\">b</a></a></body>",
            "<body><br></body>",
            "<body><h1>a</h1></body>",
        ];
        for html in bad {
            assert!(check(html, Place::Comment).is_err(), "{html}");
        }
        assert_eq!(check("<body><h1>a</h1><hr/></body>", Place::Notes), Ok(()));
    }

    #[test]
    fn it_is_shown_as_text_and_as_html_and_mentions_are_seen() {
        let rich =
            "<body>High<ul><li>lodash &lt;4</li></ul><a href=\"https://x.dev\">View</a></body>";
        assert_eq!(text(rich), "High\n\u{2022} lodash <4\nView (https://x.dev)");
        let link = "<a href=\"https://x.dev\" rel=\"noreferrer\">View</a>";
        assert_eq!(html(rich), format!("High<ul><li>lodash &lt;4</li></ul>{link}"));
        assert!(!pings(rich));
        assert!(pings("<body><a data-asana-gid=\"1\"/></body>"));
        assert_eq!(check(&of("a <b> & 'c'"), Place::Comment), Ok(()));
    }
}
