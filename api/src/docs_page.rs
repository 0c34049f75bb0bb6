//! `/docs`: the OpenAPI document as a page for people, written here, with nothing from elsewhere.

use std::fmt::Write;

use axum::{Router, http::header, routing::get};
use serde_json::{Map, Value};

use crate::App;

const STYLE: &str = include_str!("docs_page.css");
/// The page runs nothing and loads one style sheet, from here.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page and its style sheet.
pub(crate) fn routes(page: String) -> Router<App> {
    let html = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let css = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    Router::new()
        .route("/docs", get(move || async move { (html, page) }))
        .route("/docs/style.css", get(move || async move { (css, STYLE) }))
}

struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    id: &'a str,
    node: &'a Value,
}

/// The whole page.
pub(crate) fn render(document: &Value) -> String {
    let empty = Map::new();
    let paths = document["paths"].as_object().unwrap_or(&empty);
    let mut operations = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            if let Some(node) = item.get(method) {
                let id = text(&node["operationId"]);
                operations.push(Operation { method, path, id, node });
            }
        }
    }
    let (mut menu, mut body) = (String::new(), String::new());
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = text(&tag["name"]);
        let of_tag: Vec<&Operation<'_>> =
            operations.iter().filter(|operation| operation.node["tags"][0] == name).collect();
        put(&mut menu, format_args!("<h2>{}</h2><ul>", escape(name)));
        let about = prose(text(&tag["description"]));
        put(
            &mut body,
            format_args!("<section><h2>{}</h2><p class=\"note\">{about}</p>", escape(name)),
        );
        for operation in of_tag {
            let summary = escape(text(&operation.node["summary"]));
            put(
                &mut menu,
                format_args!("<li><a href=\"#{}\">{summary}</a></li>", escape(operation.id)),
            );
            render_operation(&mut body, operation, document);
        }
        menu.push_str("</ul>");
        body.push_str("</section>");
    }
    menu.push_str("<h2>Shapes</h2><ul>");
    body.push_str("<section><h2>Shapes</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap_or(&empty) {
        let name = escape(name);
        put(&mut menu, format_args!("<li><a href=\"#shape-{name}\">{name}</a></li>"));
        put(&mut body, format_args!("<article id=\"shape-{name}\"><h3>{name}</h3>"));
        render_schema(&mut body, schema);
        body.push_str("</article>");
    }
    menu.push_str("</ul>");
    body.push_str("</section>");
    let title = escape(text(&document["info"]["title"]));
    let about = prose(text(&document["info"]["description"]));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} API</title><link rel=\"stylesheet\" href=\"/docs/style.css\"></head>\
         <body><div class=\"page\"><nav aria-label=\"Operations\"><a href=\"/openapi.json\">openapi.json</a>{menu}</nav>\
         <main><h1>{title} API</h1><p class=\"lead\">{about}</p>\
         <p class=\"note\">Requests and answers are JSON. A refusal is \
         <code>{{\"error\": \"a sentence\", \"code\": \"a_stable_code\"}}</code>.</p>{body}</main></div></body></html>"
    )
}

fn render_operation(out: &mut String, operation: &Operation<'_>, document: &Value) {
    let Operation { method, path, id, node } = operation;
    put(
        out,
        format_args!(
            "<article id=\"{}\"><h3>{}</h3><code class=\"route\"><span class=\"method {method}\">{}</span>{}</code>",
            escape(id),
            escape(text(&node["summary"])),
            method.to_uppercase(),
            escape(path),
        ),
    );
    for paragraph in text(&node["description"]).split("\n\n").filter(|text| !text.is_empty()) {
        put(out, format_args!("<p>{}</p>", prose(paragraph)));
    }
    put(out, format_args!("<p class=\"note\">{}</p>", who(node, document)));
    if let Some(parameters) = node["parameters"].as_array().filter(|list| !list.is_empty()) {
        out.push_str("<h4>Parameters</h4><div class=\"scroll\"><table>");
        for parameter in parameters {
            let place = escape(text(&parameter["in"]));
            row(
                out,
                text(&parameter["name"]),
                parameter["required"] == true,
                &format!("{}, in the {place}", kind(&parameter["schema"])),
                text(&parameter["description"]),
            );
        }
        out.push_str("</table></div>");
    }
    if let Some(content) = node["requestBody"]["content"].as_object() {
        out.push_str("<h4>Body</h4>");
        for (media, content) in content {
            let shape = kind(&content["schema"]);
            put(out, format_args!("<p>{shape} <code>{}</code></p>", escape(media)));
        }
    }
    out.push_str("<h4>Answers</h4><div class=\"scroll\"><table>");
    for (status, answer) in node["responses"].as_object().into_iter().flatten() {
        let contents = answer["content"].as_object();
        let shape = contents.and_then(|list| list.values().next());
        let shape = shape.map_or_else(String::new, |content| kind(&content["schema"]));
        row(out, status, false, &shape, text(&answer["description"]));
    }
    out.push_str("</table></div></article>");
}

fn who(operation: &Value, document: &Value) -> &'static str {
    let needs = operation.get("security").unwrap_or(&document["security"]);
    let needs = needs.as_array().map_or(&[][..], Vec::as_slice);
    let named = |name: &str| needs.iter().any(|need| need.get(name).is_some());
    if named("service_key") {
        "Needs the service key."
    } else if named("user") {
        "Needs a member's token."
    } else {
        "Open to everybody."
    }
}

fn render_schema(out: &mut String, schema: &Value) {
    let about = text(&schema["description"]);
    if !about.is_empty() {
        put(out, format_args!("<p>{}</p>", prose(about)));
    }
    let mut properties = Vec::new();
    collect(schema, &mut properties);
    if properties.is_empty() {
        put(out, format_args!("<p>{}</p>", kind(schema)));
        return;
    }
    out.push_str("<div class=\"scroll\"><table>");
    for (name, required, property) in properties {
        row(out, name, required, &kind(property), text(&property["description"]));
    }
    out.push_str("</table></div>");
}

/// The properties of a schema and of those that it is composed of.
fn collect<'a>(schema: &'a Value, found: &mut Vec<(&'a str, bool, &'a Value)>) {
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if part.get("$ref").is_some() {
            found.push(("…", false, part));
        }
        collect(part, found);
    }
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        found.push((name, required.iter().any(|one| one == name), property));
    }
}

/// A schema's kind in a few words, as HTML.
fn kind(schema: &Value) -> String {
    if let Some(name) = text(&schema["$ref"]).strip_prefix("#/components/schemas/") {
        let name = escape(name);
        return format!("<a href=\"#shape-{name}\">{name}</a>");
    }
    for composed in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[composed].as_array() {
            let parts: Vec<String> = parts.iter().map(kind).collect();
            return parts.join(" or ");
        }
    }
    let word = |word: &str| match (word, text(&schema["format"])) {
        ("array", _) => format!("list of {}", kind(&schema["items"])),
        ("string", "uuid") => "UUID".to_owned(),
        ("string", "date-time") => "instant".to_owned(),
        (word, _) => escape(word),
    };
    match &schema["type"] {
        Value::String(one) => word(one),
        Value::Array(several) => {
            several.iter().map(|one| word(text(one))).collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}

/// `kind` is HTML already; the rest is not.
fn row(out: &mut String, name: &str, required: bool, kind: &str, about: &str) {
    let name = escape(name);
    let mark = if required { "<span class=\"required\">required</span>" } else { "" };
    let about = prose(about);
    put(
        out,
        format_args!("<tr><td><code>{name}</code>{mark}</td><td>{kind}</td><td>{about}</td></tr>"),
    );
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn put(out: &mut String, html: std::fmt::Arguments<'_>) {
    out.write_fmt(html).expect("writing to a String cannot fail");
}

/// Text in which `backticks` mark code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        let part = escape(part);
        if index % 2 == 1 {
            put(&mut html, format_args!("<code>{part}</code>"));
        } else {
            html.push_str(&part);
        }
    }
    html
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_shows_every_operation_and_every_shape() {
        let document = crate::openapi::documented_routes().into_openapi();
        let document = serde_json::to_value(document).expect("JSON");
        let page = render(&document);
        for (path, item) in document["paths"].as_object().expect("paths") {
            for operation in item.as_object().expect("operations").values() {
                let id = operation["operationId"].as_str().expect("a name");
                assert!(page.contains(&format!("<article id=\"{id}\">")), "{path} {id}");
                assert!(page.contains(&format!("href=\"#{id}\"")), "{path} {id}");
            }
            assert!(page.contains(&escape(path)), "{path}");
        }
        for name in document["components"]["schemas"].as_object().expect("shapes").keys() {
            assert!(page.contains(&format!("<article id=\"shape-{name}\">")), "{name}");
        }
        for link in page.split("href=\"#").skip(1) {
            let id = link.split('"').next().expect("a quoted name");
            assert!(page.contains(&format!("id=\"{id}\"")), "#{id} leads nowhere");
        }
    }

    #[test]
    fn the_page_needs_no_other_host_and_runs_no_script() {
        let document = crate::openapi::documented_routes().into_openapi();
        let page = render(&serde_json::to_value(document).expect("JSON"));
        assert!(!page.contains("<script") && !page.contains("src="));
        assert!(
            !page.contains("href=\"http") && !STYLE.contains("url(") && !STYLE.contains("@import")
        );
    }

    /// I46: what looks like markup stays text.
    #[test]
    fn i46_markup_in_the_document_stays_text() {
        let evil = "<script>alert(1)</script>\"'&";
        let operation = json!({
            "operationId": evil, "summary": evil, "description": format!("`{evil}`"), "tags": [evil],
            "parameters": [{ "name": evil, "in": evil, "schema": { "type": evil }, "description": evil }],
            "responses": { evil: { "description": evil } },
        });
        let page = render(&json!({
            "info": { "title": evil, "description": evil },
            "tags": [{ "name": evil, "description": evil }],
            "paths": { evil: { "get": operation } },
            "components": { "schemas": { evil: { "properties": { evil: { "$ref": format!("#/components/schemas/{evil}") } } } } },
        }));
        assert!(!page.contains("<script"), "{page}");
    }
}
