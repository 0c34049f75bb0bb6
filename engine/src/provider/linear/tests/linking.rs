//! Tests of how a workspace is linked and unlinked, and where its events go.

use super::*;

#[test]
fn a_workspace_becomes_an_account() {
    let granted = |scope: Value, reply: Reply| {
        let tokens = Tokens {
            access_token: Secret::new("a-new-token"),
            refresh_token: None,
            expires_in: Some(Duration::from_secs(86_399)),
            answer: json!({ "scope": scope }),
        };
        let hosts = Hosts::of(&LINEAR, |_| None);
        let newcomer = Newcomer { tokens: &tokens, own: None, hosts: &hosts };
        who(|replies| account(&newcomer, replies), &[("query Identity", reply)])
    };
    let organization = json!({ "id": "org-1", "name": "Acme", "urlKey": "acme" });
    let reply = says(200, json!({ "data": { "viewer": {}, "organization": organization } }));
    for scope in [json!("read,write"), json!(["read", "write"])] {
        let AccountStep::Accounts(accounts) = granted(scope, reply.clone()) else { panic!() };
        assert_eq!((&*accounts[0].installation_id, &*accounts[0].display_name), ("org-1", "Acme"));
        assert_eq!(
            accounts[0].metadata,
            json!({
                "linear_org_id": "org-1", "scope": "read,write",
                "expires_at": "2026-02-26T12:00:02Z",
            })
        );
    }
    let refused = granted(Value::Null, fails(400, "authentication error", "no"));
    assert!(matches!(refused, AccountStep::Unreadable(_)));
}

#[test]
fn teams_come_page_by_page_and_are_checked_when_chosen() {
    let team = |id: &str, archived: Value| json!({ "id": id, "key": "SEC", "name": "Security", "archivedAt": archived });
    let page = |more: bool| {
        let nodes = [team("a", Value::Null), team("b", json!("2026-01-01T00:00:00Z"))];
        let info = json!({ "hasNextPage": more, "endCursor": "cursor-1" });
        says(200, json!({ "data": { "teams": { "nodes": nodes, "pageInfo": info } } }))
    };
    let first = case().pick(None, Some("sec"), &[(r#""containsIgnoreCase":"sec""#, page(true))]);
    let PickStep::Page(teams, next) = first else { panic!("{first:?}") };
    assert_eq!((teams.len(), teams[0].name.as_str()), (1, "SEC — Security"));
    let last = case().pick(next.as_deref(), None, &[(r#""after":"cursor-1""#, page(false))]);
    assert!(matches!(last, PickStep::Page(_, None)), "{last:?}");
    let refused = case().pick(None, None, &[("TeamPicker", fails(200, "forbidden", ""))]);
    assert!(matches!(refused, PickStep::Refused(_)), "{refused:?}");

    let found = says(200, json!({ "data": { "team": team("a", Value::Null) } }));
    let fine = case().check("a", None, &[(r#"TeamDetails … "id":"a""#, found)]);
    assert!(matches!(fine, CheckStep::Fine(ref team) if team.id == "a"), "{fine:?}");
    let gone = case().check("b", None, &[("TeamDetails", not_there())]);
    assert!(matches!(gone, CheckStep::Unusable(_)), "{gone:?}");
    let archived = team("b", json!("2026-01-01T00:00:00Z"));
    let archived = says(200, json!({ "data": { "team": archived } }));
    let old = case().check("b", None, &[("TeamDetails … archivedAt", archived)]);
    assert!(matches!(&old, CheckStep::Unusable(why) if why.contains("archived")), "{old:?}");
}

#[test]
fn disconnecting_ends_the_refresh_token_first() {
    let hosts = Hosts::of(&LINEAR, |_| None);
    let client = Client { id: "id".into(), secret: Secret::new("secret") };
    let (access, refresh) = (Secret::new("at"), Secret::new("rt"));
    for (refresh_token, expected) in [
        (Some(&refresh), "token=rt&token_type_hint=refresh_token"),
        (None, "token=at&token_type_hint=access_token"),
    ] {
        let call = revoke(&Revocation {
            access_token: Some(&access),
            refresh_token,
            client: &client,
            metadata: &Value::Null,
            hosts: &hosts,
        });
        let call = call.expect("there is a token");
        assert_eq!(call.url.as_str(), "https://api.linear.app/oauth/revoke");
        assert_eq!(call.body, expected);
        assert!(!call.headers.contains_key("authorization"), "it may have expired");
    }
    for (status, is_over) in [(200, true), (400, true), (401, false), (500, false)] {
        assert_eq!(is_revoked(&says(status, json!({}))), is_over, "{status}");
    }
}
