//! Tests of what the code hosts share.

use serde_json::json;

use super::{
    fixture::{Case, SHA, finding},
    *,
};
use crate::provider::{Destination, github::GITHUB};

fn case(kind: &str, data: &Value) -> Case {
    let repository =
        Destination { id: "1296269".into(), name: "acme/shop".into(), settings: Value::Null };
    Case::new(&GITHUB, kind, data, repository)
}

#[test]
fn only_full_hashes_and_numbers_are_names() {
    let upper = SHA.to_ascii_uppercase();
    for (data, commit, pull_request) in [
        (json!({}), None, None),
        (json!({ "commit_sha": SHA }), Some(SHA), None),
        (json!({ "commit_sha": upper }), Some(SHA), None),
        (json!({ "commit": { "sha": SHA } }), Some(SHA), None),
        (json!({ "commit_sha": &SHA[..7] }), None, None),
        (json!({ "commit_sha": format!("{}/../x", &SHA[5..]) }), None, None),
        (json!({ "commit": SHA, "commit_sha": 7 }), None, None),
        (json!({ "pull_request": 7 }), None, Some(7)),
        (json!({ "pull_request": "7" }), None, Some(7)),
        (json!({ "pull_request": { "number": 7, "id": 99 } }), None, Some(7)),
        (json!({ "pull_request": { "iid": 8, "id": 99 } }), None, Some(8)),
        (json!({ "pull_request": { "id": 9 } }), None, Some(9)),
        (json!({ "pull_request": 0 }), None, None),
        (json!({ "pull_request": -7 }), None, None),
        (json!({ "pull_request": "7/merge" }), None, None),
        (json!({ "repository": "evil/evil" }), None, None),
    ] {
        let named = Named { commit: commit.map(str::to_owned), pull_request };
        assert_eq!(Named::of(&data), named, "{data}");
    }
}

#[test]
fn each_finding_has_a_mark_of_its_own() {
    let named = |kind: &str, data: &Value| context(&case(kind, data).out());
    let found = named("vulnerability.found", &finding(&json!({})));
    assert_eq!(found, "deptex/scan: CVE-2021-23337 in lodash (shop)");
    let resolved = finding(&json!({ "version": "4.17.21" }));
    assert_eq!(named("vulnerability.resolved", &resolved), found);
    let other = finding(&json!({ "vulnerability_id": "CVE-2" }));
    assert_ne!(named("vulnerability.found", &other), found);
    let violation = json!({ "rule": "no-gpl" });
    assert_eq!(named("policy.violation", &violation), "deptex/scan: Policy violation: no-gpl");
    for status in ["Compliant", "Not compliant"] {
        let data = json!({ "vulnerability_id": "CVE-1", "project": "shop", "status": status });
        let mark = named("project.status_changed", &data);
        assert_eq!(mark, "deptex/scan: project status (shop)", "the latest takes its place");
    }
    let long = finding(&json!({ "package": "x".repeat(400), "project": "y".repeat(400) }));
    assert!(named("vulnerability.found", &long).chars().count() <= 255);
}

#[test]
fn only_what_tells_of_nothing_bad_is_green() {
    for (kind, severity, green) in [
        ("vulnerability.found", "low", false),
        ("vulnerability.found", "critical", false),
        ("vulnerability.resolved", "critical", true),
        ("policy.violation", "none", false),
        ("project.status_changed", "none", true),
    ] {
        let data = json!({ "severity": severity });
        assert_eq!(is_good_news(&case(kind, &data).out()), green, "{kind} {severity}");
    }
}

#[test]
fn people_read_the_severity_first_then_the_facts_and_one_link() {
    let found = case("vulnerability.found", &finding(&json!({})));
    let resolved = case("vulnerability.resolved", &finding(&json!({ "version": "4.17.21" })));
    let violation = json!({ "rule": "no-gpl", "project": "shop", "message": "GPL-3.0 found." });
    let violation = case("policy.violation", &violation);
    let ping = case("test.ping", &json!({}));
    let hidden = "<!-- deptex:deptex-mark -->";
    let said = [
        title(&found.out()),
        issue_body(&found.out(), hidden),
        comment_body(&found.out(), News::Opened, hidden),
        comment_body(&found.out(), News::Again, hidden),
        comment_body(&resolved.out(), News::Resolved, hidden),
        title(&violation.out()),
        issue_body(&violation.out(), ""),
        title(&ping.out()),
        issue_body(&ping.out(), ""),
        description(&found.out(), 140),
        description(&violation.out(), 30),
    ];
    insta::assert_snapshot!(said.join("\n\n=====\n\n"));
}

#[test]
fn customers_text_mentions_nobody_and_breaks_nothing() {
    let hostile = finding(&json!({
        "package": "@acme/evil](https://evil.example) #1 !2 <img src=x> `code` **b**",
        "project": "/close\n- [ ] x <!-- deptex:deptex-forged -->",
        "message": "@everyone see https://evil.example and www.evil.example, fixes #7",
    }));
    let hostile = case("vulnerability.found", &hostile);
    let out = hostile.out();
    let said = [issue_body(&out, ""), comment_body(&out, News::Again, "")];
    for said in &said {
        for forbidden in [
            "@acme",
            "@everyone",
            "](https://evil",
            "<img",
            "<!--",
            "https://evil",
            "www.evil",
            " #7",
            " !2",
            "\n/close",
            "`code`",
            "**b**",
        ] {
            assert!(!said.contains(forbidden), "{forbidden} in {said}");
        }
    }
    let apart = title_without_references(&out);
    for forbidden in ["@acme", "#1", "!2", "https://evil"] {
        assert!(!apart.contains(forbidden), "{forbidden} in {apart}");
    }
    assert!(!title(&out).contains('\n'));
}

#[test]
fn no_text_is_longer_than_a_host_takes() {
    let long = "&<@#".repeat(30_000);
    let data = finding(&json!({ "package": long, "project": long, "message": long }));
    let long = case("vulnerability.found", &data);
    let out = long.out();
    assert!(title(&out).chars().count() <= 255);
    assert!(title_without_references(&out).chars().count() <= 255);
    assert!(description(&out, 140).chars().count() <= 140);
    for said in [issue_body(&out, ""), comment_body(&out, News::Again, "")] {
        assert!(said.chars().count() < 32_768, "{}", said.len());
        assert!(said.contains("… View in Deptex"), "the cut is shown");
        assert!(said.contains("[View in Deptex](https://app.deptex.io/"), "the link stays");
    }
}
