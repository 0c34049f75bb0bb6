//! Tests of Jira Cloud's sites, of the projects there, and of those that cannot take our issues.

use super::*;

fn granted(replies: Reply) -> AccountStep {
    let tokens = Tokens {
        access_token: Secret::new("a-new-token"),
        refresh_token: None,
        expires_in: None,
        answer: Value::Null,
    };
    let hosts = Hosts::of(&JIRA_CLOUD, |_| None);
    let newcomer = Newcomer { tokens: &tokens, own: None, hosts: &hosts };
    let ask = "GET https://api.atlassian.com/oauth/token/accessible-resources";
    who(|replies| account(&newcomer, replies), &[(ask, replies)])
}

#[test]
fn each_site_that_was_granted_becomes_an_account() {
    let site = |id: &str, name: &str, scopes: &[&str]| json!({ "id": id, "name": name, "url": "https://one.atlassian.net", "scopes": scopes });
    let jira = &["read:jira-work", "write:jira-work"];
    let sites = json!([
        site("a-1", "One", jira),
        site("a-1", "One", &["read:confluence-content.all"]),
        site("b-2", "", jira),
        site("c-3", "Docs", &["read:confluence-content.all"]),
    ]);
    let AccountStep::Accounts(accounts) = granted(says(200, sites)) else { panic!("accounts") };
    let shown: Vec<_> =
        accounts.iter().map(|a| (a.installation_id.as_str(), a.display_name.as_str())).collect();
    assert_eq!(shown, [("a-1", "One"), ("b-2", "Jira Cloud")]);
    assert_eq!(
        accounts[0].metadata,
        json!({
            "cloud_id": "a-1", "site_name": "One", "site_url": "https://one.atlassian.net",
            "scope": "read:jira-work write:jira-work",
        })
    );
    for reply in
        [says(200, json!([])), says(200, json!([site("c", "C", &[])])), says(500, json!({}))]
    {
        assert!(matches!(granted(reply), AccountStep::Unreadable(_)));
    }
}

#[test]
fn projects_come_page_by_page() {
    let project = |id: &str, key: &str| json!({ "id": id, "key": key, "name": "Security" });
    let page = |is_last: bool| {
        let values = [project("10000", "SEC"), project("10001", "OPS")];
        says(200, json!({ "values": values, "isLast": is_last, "startAt": 0 }))
    };
    let ask = "/project/search?startAt=0&maxResults=50&orderBy=name&action=create&query=sec%26x";
    let PickStep::Page(choices, next) = case().pick(None, Some("sec&x"), &[(ask, page(false))])
    else {
        panic!("a page");
    };
    assert_eq!((choices[0].id.as_str(), choices[0].name.as_str()), ("10000", "SEC — Security"));
    assert_eq!((choices.len(), next.as_deref()), (2, Some("2")));
    let PickStep::Page(_, next) = case().pick(Some("2"), None, &[("startAt=2&", page(true))])
    else {
        panic!("a page");
    };
    assert_eq!(next, None);
    let refused = case().pick(None, None, &[("/project/search", says(401, json!({})))]);
    assert!(matches!(refused, PickStep::Refused(Verdict::Unauthorized)));
}

fn field(id: &str, name: &str, required: bool) -> Value {
    json!({ "fieldId": id, "key": id, "name": name, "required": required, "hasDefaultValue": false })
}

fn chosen(types: &[Value], asked: Option<&str>, fields: Option<Vec<Value>>) -> CheckStep {
    let project = json!({ "values": [{ "id": "10000", "key": "SEC", "name": "Security" }] });
    let mut script = vec![
        ("GET … /project/search?keys=SEC", says(200, project)),
        (
            "/issue/createmeta/10000/issuetypes?startAt=0&maxResults=200",
            says(200, json!({ "issueTypes": types, "total": types.len() })),
        ),
    ];
    let fields = fields.map(|fields| says(200, json!({ "fields": fields, "total": fields.len() })));
    script.extend(fields.map(|fields| ("/issue/createmeta/10000/issuetypes/", fields)));
    case().check("SEC", asked, &script)
}

fn kind(id: &str, name: &str, subtask: bool) -> Value {
    json!({ "id": id, "name": name, "subtask": subtask })
}

#[test]
fn a_project_is_taken_with_the_issue_type_that_fits() {
    let ours = || {
        let mut reporter = field("reporter", "Reporter", true);
        reporter["hasDefaultValue"] = json!(true);
        let names = ["summary", "description", "labels", "project", "issuetype"];
        let mut fields: Vec<_> = names.iter().map(|name| field(name, name, true)).collect();
        fields.extend([reporter, field("customfield_1", "Optional", false)]);
        Some(fields)
    };
    let (bug, task) = (kind("1", "Bug", false), kind("2", "Task", false));
    let (sub, story) = (kind("3", "Sub-task", true), kind("4", "Story", false));
    for (types, asked, expected) in [
        (vec![story.clone(), task.clone(), bug.clone()], None, "1"),
        (vec![story.clone(), task.clone()], None, "2"),
        (vec![sub.clone(), story.clone()], Some(" "), "4"),
        (vec![bug.clone(), story.clone()], Some("story"), "4"),
        (vec![bug.clone(), task], Some("2"), "2"),
    ] {
        let CheckStep::Fine(destination) = chosen(&types, asked, ours()) else { panic!("fine") };
        assert_eq!(destination.settings["issue_type"], expected, "{types:?} {asked:?}");
        assert_eq!((&*destination.id, &*destination.name), ("10000", "SEC — Security"));
    }
    for (types, asked, expected) in [
        (
            vec![bug, sub.clone()],
            Some("Sub-task"),
            "SEC: there is no such issue type; choose one of Bug.",
        ),
        (vec![sub], None, "SEC: the connected account may not create issues here."),
    ] {
        match chosen(&types, asked, None) {
            CheckStep::Unusable(why) => assert_eq!(why, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_project_whose_fields_we_cannot_fill_is_refused_with_their_names() {
    let ours = [("summary", true), ("description", false), ("labels", false)];
    let ours = || ours.iter().map(|(id, required)| field(id, id, *required)).collect::<Vec<_>>();
    let with = |more: Vec<Value>| ours().into_iter().chain(more).collect::<Vec<_>>();
    let demanded =
        with(vec![field("customfield_7", "Team", true), field("duedate", "Due date", true)]);
    for (fields, expected) in [
        (
            demanded,
            "SEC: the issue type Bug requires fields that Deptex cannot fill: Team, Due date.",
        ),
        (
            ours()[..2].to_vec(),
            "SEC: the issue type Bug lacks fields on its create screen: labels.",
        ),
    ] {
        match chosen(&[kind("1", "Bug", false)], None, Some(fields)) {
            CheckStep::Unusable(why) => assert_eq!(why, expected),
            other => panic!("{other:?}"),
        }
    }
    let nothing = says(200, json!({ "values": [] }));
    let check = case().check("10000", None, &[("/project/search?id=10000", nothing)]);
    assert!(matches!(check, CheckStep::Unusable(_)), "{check:?}");
    let project = json!({ "values": [{ "id": "10000", "key": "SEC", "name": "Security" }] });
    let script = [
        ("/project/search", says(200, project)),
        ("/issue/createmeta/10000/issuetypes", says(404, json!({}))),
    ];
    match case().check("SEC", None, &script) {
        CheckStep::Unusable(why) => assert!(why.contains("may not create issues"), "{why}"),
        other => panic!("{other:?}"),
    }
    let traversal = case().check("../../myself", None, &[]);
    assert!(matches!(traversal, CheckStep::Unusable(_)), "{traversal:?}");
}

#[test]
fn fields_are_read_to_the_last_page() {
    let page = |fields: Vec<Value>| says(200, json!({ "fields": fields, "total": 4 }));
    let first = ["summary", "description", "labels"].map(|id| field(id, id, false)).to_vec();
    let last = vec![field("customfield_7", "Team", true)];
    let project = json!({ "values": [{ "id": "10000", "key": "SEC", "name": "" }] });
    let step = case().check(
        "SEC",
        None,
        &[
            ("/project/search", says(200, project)),
            ("/issuetypes?", says(200, json!({ "issueTypes": [kind("1", "Bug", false)] }))),
            ("/issuetypes/1?startAt=0&", page(first)),
            ("/issuetypes/1?startAt=3&", page(last)),
        ],
    );
    assert!(matches!(&step, CheckStep::Unusable(why) if why.contains("Team")), "{step:?}");
}

#[test]
fn the_consent_asks_for_offline_access_and_nothing_ends_it_from_here() {
    let Connect::OAuth2(oauth) = &JIRA_CLOUD.connect else { panic!("OAuth") };
    assert!(oauth.scopes.contains(&"offline_access"));
    assert!(oauth.revoke.is_none());
    let hosts = Hosts::of(&JIRA_CLOUD, |_| None);
    assert_eq!((oauth.revoke_url)(&hosts, &Value::Null), None);
    let expired = reply(403, &json!({ "error": "invalid_grant" }));
    assert!(matches!((oauth.tokens)(&expired), Err(TokenRefused::Grant(_))));
}
