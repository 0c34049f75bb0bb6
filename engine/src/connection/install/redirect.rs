//! Where an admin goes at the end: only ever back to the frontend.

use url::Url;

use super::InstallError;

/// An address that only leads back to the frontend: compared by its parsed origin.
pub(super) fn checked(raw: &str, frontend: Option<&Url>) -> Result<String, InstallError> {
    let refused = || {
        let message = "success_redirect must lead back to the Deptex frontend";
        InstallError::refused("invalid_success_redirect", message)
    };
    let frontend = frontend.ok_or_else(refused)?;
    let url = frontend.join(raw).map_err(|_| refused())?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    let is_ours = url.origin() == frontend.origin() && url.origin().is_tuple();
    if is_ours && is_plain && raw.len() <= 2_048 { Ok(url.into()) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_redirect_stays_at_the_frontend() {
        let frontend: Url = "https://app.deptex.example".parse().expect("a URL");
        for good in [
            "https://app.deptex.example/organizations/1/settings",
            "https://app.deptex.example:443/x",
            "/organizations/1",
        ] {
            let kept = checked(good, Some(&frontend)).expect(good);
            assert!(kept.starts_with("https://app.deptex.example/"), "{kept}");
        }
        for bad in [
            "https://app.deptex.example.evil.com/",
            "https://evil.com/https://app.deptex.example",
            "http://app.deptex.example/",
            "https://app.deptex.example:8443/",
            "https://app.deptex.example@evil.com/",
            "https://user:pw@app.deptex.example/",
            "//evil.com/",
            "/\\evil.com/",
            "\\\\evil.com",
            "javascript:alert(1)",
            "data:text/html,x",
        ] {
            assert!(checked(bad, Some(&frontend)).is_err(), "{bad}");
        }
        assert!(checked("https://app.deptex.example/", None).is_err());
    }
}
