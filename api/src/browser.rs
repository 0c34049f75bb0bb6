//! What a browser is given when it is sent to a provider, and shows again when it comes back: nobody
//! else's browser can end a consent that it did not begin.

use axum::http::{HeaderMap, HeaderValue, header::COOKIE};
use engine::secret::Secret;

/// How long a browser is remembered: as long as a state.
const SECONDS: u32 = 600;
const NAME: &str = "deptex-install";
/// Only this host, over HTTPS, can set a cookie of such a name.
const NAME_HTTPS: &str = "__Host-deptex-install";

/// The cookie by which a browser is known again.
pub(crate) fn remember(browser: &Secret, is_https: bool) -> HeaderValue {
    let (name, secure) = if is_https { (NAME_HTTPS, "; Secure") } else { (NAME, "") };
    let value = browser.reveal();
    let cookie =
        format!("{name}={value}; Path=/; Max-Age={SECONDS}; HttpOnly; SameSite=Lax{secure}");
    let mut cookie = HeaderValue::from_str(&cookie).expect("base64url fits a header");
    cookie.set_sensitive(true);
    cookie
}

/// What a browser was given.
pub(crate) fn shown(headers: &HeaderMap, is_https: bool) -> Option<Secret> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let wanted = if is_https { NAME_HTTPS } else { NAME };
    let (_, value) = pairs.find(|(name, value)| *name == wanted && value.len() == 43)?;
    Some(Secret::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(text))])
    }

    #[test]
    fn a_browser_shows_again_what_it_was_given() {
        let browser_secret = Secret::random();
        for (is_https, name) in [(true, NAME_HTTPS), (false, NAME)] {
            let set = remember(&browser_secret, is_https);
            let set = set.to_str().expect("text");
            assert!(set.starts_with(&format!("{name}=")), "{set}");
            assert!(set.contains("; HttpOnly; SameSite=Lax"), "{set}");
            assert_eq!(set.ends_with("; Secure"), is_https, "{set}");
            let (pair, _) = set.split_once(';').expect("attributes");
            let sent = format!("other=1; {pair}; last=2");
            let sent =
                HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&sent).expect("text"))]);
            let found = shown(&sent, is_https).expect("it is there");
            assert_eq!(found.reveal(), browser_secret.reveal());
            assert!(shown(&sent, !is_https).is_none(), "of the other kind it is not taken");
        }
        for other in ["", "deptex-install=", "deptex-install=short", "x=deptex-install"] {
            assert!(shown(&cookies(other), false).is_none(), "{other:?}");
        }
    }
}
