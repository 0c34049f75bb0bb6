//! Tests of what Jira Cloud's refusals and rate limits mean.

use super::*;

#[test]
fn every_refusal_has_its_verdict() {
    let dest = |code: &'static str| Verdict::WrongDestination(code.into());
    let drop = |code: &'static str| Verdict::Rejected(code.into());
    let errors = |errors: Value| json!({ "errorMessages": [], "errors": errors });
    for (status, body, expected) in [
        (
            400,
            errors(json!({ "summary": "Summary can't exceed 255 characters." })),
            drop("http_400"),
        ),
        (
            400,
            errors(json!({ "issuetype": "valid issue type is required" })),
            dest("field_issuetype"),
        ),
        (400, errors(json!({ "project": "project is required" })), dest("field_project")),
        (
            400,
            errors(json!({ "summary": "s", "customfield_10": "Team is required." })),
            dest("field_customfield_10"),
        ),
        (400, json!({ "errorMessages": ["Field 'priority' is required"] }), dest("required_field")),
        (400, json!({ "errorMessages": ["The document is not valid."] }), drop("http_400")),
        (400, json!("not what we know"), drop("http_400")),
        (401, json!({ "message": "Unauthorized" }), Verdict::Unauthorized),
        (
            401,
            json!({ "message": "Unauthorized; scope does not match" }),
            Verdict::Reauth("missing_scope".into()),
        ),
        (403, json!({}), dest("forbidden")),
        (404, json!({}), dest("not_found")),
        (409, json!({}), Verdict::Retry { after: None, hold: None }),
        (413, json!({}), drop("too_large")),
        (422, json!({}), dest("unprocessable")),
        (500, json!({}), Verdict::Retry { after: None, hold: None }),
    ] {
        let shown = format!("{status} {body}");
        assert_eq!(case().play(&[(CREATE, says(status, body))]), expected, "{shown}");
    }
    let busy = says_with(503, &[("retry-after", "9")], json!({}));
    let after = Some(Duration::from_secs(9));
    assert_eq!(case().play(&[(CREATE, busy)]), Verdict::Retry { after, hold: None });
}

/// The fixture's answers come at 12:00:03.
#[test]
fn each_rate_limit_says_who_must_wait_and_how_long() {
    let waits =
        |seconds: u64, hold| Verdict::Retry { after: Some(Duration::from_secs(seconds)), hold };
    let (all, site) = (Some(SharedBy::Provider), Some(SharedBy::Installation));
    let reason = "ratelimit-reason";
    let reset = ("x-ratelimit-reset", "2026-02-25T13:00:00Z");
    for (headers, expected) in [
        (&[(reason, "jira-quota-global-based"), reset][..], waits(3_597, all)),
        (&[(reason, "jira-quota-tenant-based"), reset, ("retry-after", "30")], waits(3_597, site)),
        (&[(reason, "jira-quota-global-based"), ("retry-after", "900")], waits(900, all)),
        (&[(reason, "jira-quota-global-based")], waits(3_597, all)),
        (&[(reason, "jira-burst-based"), ("retry-after", "5")], waits(5, site)),
        (&[(reason, "jira-burst-based")], waits(30, site)),
        (&[(reason, "jira-per-issue-on-write"), ("retry-after", "2")], waits(2, None)),
        (&[(reason, "jira-per-issue-on-write")], Verdict::Retry { after: None, hold: None }),
        (&[("retry-after", "7")], waits(7, site)),
        (&[("x-ratelimit-reset", "soon")], waits(30, site)),
    ] {
        let verdict = case().play(&[(CREATE, says_with(429, headers, json!({})))]);
        assert_eq!(verdict, expected, "{headers:?}");
    }
}
