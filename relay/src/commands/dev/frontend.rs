//! Stands in for the frontend: tells a person who comes back from a provider how it went.

use axum::{
    http::{HeaderName, Uri, header},
    response::Html,
};
use url::form_urlencoded;

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
const STYLE: &str =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}";

/// The page at any address.
pub(super) async fn page(uri: Uri) -> ([(HeaderName, &'static str); 1], Html<String>) {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(render(&uri)))
}

fn render(uri: &Uri) -> String {
    let query: Vec<(String, String)> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let said = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let (title, text) = match (said("connected"), said("error")) {
        (Some(provider), _) => {
            (format!("Connected: {provider}"), "Go on with the next step.".into())
        }
        (None, Some(provider)) => {
            let why = said("message").cloned().unwrap_or_default();
            (format!("Not connected: {provider}"), why)
        }
        (None, None) => ("Deptex".to_owned(), "A page of the Deptex frontend.".to_owned()),
    };
    let (title, text, path) = (escape(&title), escape(&text), escape(uri.path()));
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1><p>{text}</p>\
         <p><small>relay dev stands in for the frontend here. The address is {path}.</small></p>\
         </body></html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_it_went_and_runs_nothing_of_what_it_is_told() {
        let page = |text: &str| render(&text.parse().expect("an address"));
        assert!(page("/organizations/x?connected=slack").contains("<h1>Connected: slack</h1>"));
        let failed = page("/?error=jira&message=Invalid%20state%3Cscript%3E");
        assert!(failed.contains("Not connected: jira"), "{failed}");
        assert!(failed.contains("Invalid state&lt;script&gt;") && !failed.contains("<script"));
    }
}
