//! What people see in a browser: plain pages without a script.

use crate::{markdown, oauth::Choice, server::reply::Reply};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;\
color:#1d1c1d;background:#fff}h1{font-size:1.3rem}h2{font-size:1.1rem;margin-top:2rem}\
article{border:1px solid #ddd;border-radius:8px;padding:.75rem 1rem;margin:.75rem 0}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;margin:0}small{color:#616061}\
h3{font-size:1rem;margin:.25rem 0}b,h1,h2,h3{overflow-wrap:anywhere}hr{border:0;border-top:1px solid #ddd}\
.state{float:right;border-radius:1rem;padding:0 .7rem;margin-left:.5rem;background:#eee}\
.done{background:#c8f0d4}.bad{background:#f8d0d0}\
a.button{display:inline-block;padding:.5rem 1rem;border-radius:6px;background:#1264a3;color:#fff;\
text-decoration:none;margin:.25rem .5rem .25rem 0}a.plain{background:#6b6b6b}\
a.small{padding:.15rem .7rem;background:none;border:1px solid #bbb;color:inherit}\
@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#1a1d21}article{border-color:#444}\
hr{border-color:#444}small{color:#aaa}.state{background:#444}.done{background:#1d5c33}\
.bad{background:#7a2b2b}a{color:#6cb8f5}}";

/// Text as HTML shows it.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// A whole page. The body is HTML, the title is text.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\
         <p><small>A pretended service of relay dev. It forgets everything when relay dev ends.\
         </small></p>{body}</body></html>"
    )
}

/// A link that may be shown to people: to the web, or nothing.
pub(crate) fn link(url: &str, text: &str) -> String {
    let text = escape(text);
    match url.starts_with("https://") || url.starts_with("http://") {
        true => format!("<a href=\"{}\" rel=\"noreferrer\">{text}</a>", escape(url)),
        false => text,
    }
}

/// A button that leads to an address; nothing where people should not be led.
pub(crate) fn button(url: &str, label: &str) -> String {
    link(url, label).replacen("<a ", "<a class=\"button small\" ", 1)
}

/// A commit's mark at a code host. The name may be a link.
pub(crate) fn mark(state: &str, name: &str, description: &str, sha: &str) -> String {
    let class = match state.to_lowercase().as_str() {
        "success" | "successful" => "done",
        "failure" | "failed" | "error" => "bad",
        _ => "",
    };
    format!(
        "<article><span class=\"state {class}\">{}</span><b>{name}</b><br>{} <small>{}</small></article>",
        escape(state),
        escape(description),
        escape(sha.get(..7).unwrap_or_default())
    )
}

/// An issue or a pull request at a code host, with all that was said there, in Markdown.
pub(crate) fn thread<'a>(
    is_open: bool,
    title: &str,
    said: impl Iterator<Item = &'a String>,
) -> String {
    let (class, state) = if is_open { ("", "open") } else { ("done", "closed") };
    let said: Vec<String> = said
        .filter(|text| !text.is_empty())
        .map(|text| format!("<pre>{}</pre>", markdown::html(text)))
        .collect();
    format!(
        "<article><span class=\"state {class}\">{state}</span><h3>{}</h3>{}</article>",
        escape(title),
        said.join("<hr>")
    )
}

/// The page where a person lets Relay in at a provider, or not. `here` is the path and query that
/// led to it.
pub(crate) fn consent(provider: &str, here: &str, scopes: &[String], choices: &[Choice]) -> Reply {
    let scopes: String = scopes.iter().map(|s| format!("<li>{}</li>", escape(s))).collect();
    let here = escape(here);
    let mut buttons = String::new();
    for (key, label) in choices {
        let key: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        buttons.push_str(&format!(
            "<a class=\"button\" href=\"{here}&amp;decision=allow&amp;choice={}\">Allow for {}</a>",
            escape(&key),
            escape(label)
        ));
    }
    let body = format!(
        "<p>Deptex asks for permission to:</p><ul>{scopes}</ul>{buttons}\
         <a class=\"button plain\" href=\"{here}&amp;decision=deny\">Cancel</a>"
    );
    Reply::html(200, page(&format!("Connect Deptex to {provider}"), &body))
}

/// A page that says why a person cannot go on.
pub(crate) fn refusal(status: u16, why: &str) -> Reply {
    Reply::html(status, page("This cannot be done", &format!("<p>{}</p>", escape(why))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_customers_wrote_stays_text() {
        assert_eq!(escape("<b>\"&'"), "&lt;b&gt;&quot;&amp;&#39;");
        assert_eq!(link("javascript:alert(1)", "<x>"), "&lt;x&gt;");
        assert_eq!(button("javascript:alert(1)", "<a "), "&lt;a ");
        let said = ["<b> **bold** <!-- deptex:x -->".to_owned()];
        let shown = thread(true, "<i>", said.iter());
        assert!(shown.contains("&lt;i&gt;") && shown.contains("&lt;b&gt; <b>bold</b></pre>"));
        assert!(!shown.contains("deptex:x"), "{shown}");
    }
}
