//! Tests of what GitHub's answers mean, and what their headers tell of its budget.

use super::*;

#[test]
fn the_last_of_an_hours_budget_is_left_to_others() {
    let hold = Some(Hold { wait: Duration::from_secs(30), shared_by: SharedBy::Installation });
    for (remaining, limit, expected) in [
        ("4999", "5000", None),
        ("101", "5000", None),
        ("100", "5000", hold),
        ("0", "5000", hold),
        ("249", "12500", hold),
        ("many", "5000", None),
    ] {
        let reset = ("x-ratelimit-reset", "1772020830");
        let headers = [("x-ratelimit-remaining", remaining), ("x-ratelimit-limit", limit), reset];
        assert_eq!(budget(&reply(201, &headers, "{}")), expected, "{remaining} of {limit}");
    }
    let untold = reply(201, &[("x-ratelimit-remaining", "0")], "{}");
    assert_eq!((budget(&untold), budget(&reply(201, &[], "{}"))), (None, None));
}

#[test]
fn each_answer_means_what_github_says_it_does() {
    let hold = |s| Verdict::hold(Duration::from_secs(s), SharedBy::Installation);
    let wrong = |code: &'static str| Verdict::WrongDestination(code.into());
    let spent: &[(&str, &str)] =
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1772020830")];
    let past: &[(&str, &str)] =
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1772020000")];
    let after: &[(&str, &str)] = &[("retry-after", "7")];
    let secondary = r#"{"message":"You have exceeded a secondary rate limit. Please wait."}"#;
    for (status, headers, body, expected) in [
        (201, &[][..], "{}", Verdict::delivered()),
        (401, &[], r#"{"message":"Bad credentials"}"#, Verdict::Unauthorized),
        (403, spent, r#"{"message":"API rate limit exceeded"}"#, hold(30)),
        (429, spent, "{}", hold(30)),
        (403, past, "{}", hold(1)),
        (403, &[], secondary, hold(60)),
        (403, after, secondary, hold(7)),
        (429, &[], "", hold(60)),
        (
            403,
            &[("x-ratelimit-remaining", "4999")],
            r#"{"message":"Resource not accessible by integration"}"#,
            wrong("missing_permission"),
        ),
        (
            403,
            &[],
            r#"{"message":"This installation has been suspended"}"#,
            Verdict::Suspended("suspended"),
        ),
        (403, &[], r#"{"message":"Repository was archived so is read-only."}"#, wrong("archived")),
        (403, &[], "{}", wrong("forbidden")),
        (404, &[], r#"{"message":"Not Found"}"#, wrong("not_found")),
        (410, &[], r#"{"message":"Issues are disabled for this repo"}"#, wrong("issues_disabled")),
        (410, &[], "{}", wrong("gone")),
        (
            422,
            &[],
            r#"{"message":"No commit found for SHA: e10"}"#,
            Verdict::Rejected("commit_not_found".into()),
        ),
        (422, &[], r#"{"message":"Validation Failed"}"#, Verdict::Rejected("http_422".into())),
        (400, &[], "{}", Verdict::Rejected("http_400".into())),
        (301, &[], "{}", wrong("moved")),
        (500, &[], "", Verdict::Retry { after: None, hold: None }),
        (502, &[], "<html>", Verdict::Retry { after: None, hold: None }),
        (503, after, "", Verdict::Retry { after: Some(Duration::from_secs(7)), hold: None }),
    ] {
        assert_eq!(verdict(&reply(status, headers, body)), expected, "{status} {body}");
    }
}
