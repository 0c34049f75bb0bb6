//! Tests of patterns and conditions. The same cases go through Postgres in the database tests.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{jsonpath::quote, *};

fn patterns(texts: &[&str]) -> Result<EventPatterns, PatternError> {
    EventPatterns::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

#[test]
fn patterns_match_whole_names_and_prefixes() {
    for (pattern, kind, matches) in [
        ("*", "vulnerability.found", true),
        ("vulnerability.*", "vulnerability.found", true),
        ("vulnerability.*", "vulnerability.found.again", true),
        ("vulnerability.*", "vulnerabilitys.found", false),
        ("vulnerability.found", "vulnerability.found", true),
        ("vulnerability.found", "vulnerability.found.again", false),
        ("a.b.*", "a.b.c", true),
        ("a.b.*", "a.b", false),
        ("a.b.*", "a.c.b", false),
        ("malicious_package_detected", "malicious.package_detected", true),
    ] {
        let read = patterns(&[pattern]).expect(pattern);
        assert_eq!(read.matches(kind), matches, "{pattern} {kind}");
    }
}

#[test]
fn i39_what_is_not_a_pattern_is_refused_by_name() {
    for text in [
        "",
        "**",
        "*.found",
        "vuln*",
        "vulnerability.",
        "vulnerability",
        ".*",
        "a..*",
        "A.*",
        "a.*.b",
        "a.*.*",
        "unknown_alias",
        "a.b\n",
        "é.*",
    ] {
        let error = patterns(&["*", text]).expect_err(text);
        assert_eq!(error, PatternError::Invalid { place: 1, pattern: quoted(text) });
    }
    assert_eq!(patterns(&[]), Err(PatternError::Count(0)));
    assert_eq!(patterns(&["*"; 101]), Err(PatternError::Count(101)));
    let error = patterns(&["vuln*"]).expect_err("no pattern").to_string();
    assert!(error.starts_with("event_types[0] must be *, a prefix such as"), "{error}");
}

#[test]
fn a_pattern_given_twice_is_kept_once_under_its_canonical_name() {
    let read = patterns(&["sla.*", "status_changed", "sla.*", "project.status_changed"]);
    assert_eq!(read.expect("patterns").into_vec(), ["sla.*", "project.status_changed"]);
}

/// B17: operators, nesting, missing fields, other types.
#[test]
fn b17_conditions_mean_what_the_cases_say() {
    for (condition, document, expected) in CONDITION_CASES {
        let read = Conditions::parse(&json(condition)).expect(condition);
        assert_eq!(read.matches(&json(document)), *expected, "{condition} {document}");
        let again = Conditions::parse(&read.to_json()).expect("what was written is read");
        assert_eq!(again, read);
        assert_eq!(again.to_json(), read.to_json());
    }
}

#[test]
fn conditions_compile_to_a_two_valued_jsonpath() {
    for (condition, path) in [
        (
            r#"{"field":"severity","at_least":"critical"}"#,
            r#"strict exists($ ? (exists(@."severity" ? (@ == "critical" || @ == "CRITICAL" || @ == "Critical"))))"#,
        ),
        (
            r#"{"all":[{"field":"data.a-b.c","ne":"x\"y"},{"not":{"any":[{"field":"data.n","gte":-1.5},{"field":"source","exists":false}]}}]}"#,
            r#"strict (!exists($ ? (@."data"."a-b"."c" == "x\u0022y")) && !((exists($ ? (@."data"."n" >= -1.5)) || !exists($ ? (@."source" != null)))))"#,
        ),
        (
            r#"{"field":"data.a.b","in":["x",2,true]}"#,
            r#"strict exists($ ? (exists(@."data"."a"."b" ? (@ == "x" || @ == 2 || @ == true))))"#,
        ),
    ] {
        assert_eq!(Conditions::parse(&json(condition)).expect(condition).to_jsonpath(), path);
    }
}

#[test]
fn wrong_conditions_are_refused_with_their_place() {
    for (condition, error) in [
        ("[]", "conditions: must be an object with all, any, not, or field and an operator"),
        ("{}", "conditions: must have exactly one of all, any and not, or a field"),
        (
            r#"{"all":[],"any":[]}"#,
            "conditions: must have exactly one of all, any and not, or a field",
        ),
        (r#"{"all":[]}"#, "conditions.all: must be an array of at least one condition"),
        (
            r#"{"any":{"field":"event","eq":"a.b"}}"#,
            "conditions.any: must be an array of at least one condition",
        ),
        (r#"{"none":[]}"#, "conditions: \"none\" is not all, any, not or a field with an operator"),
        (
            r#"{"all":[{"field":"severity","eq":"x"},{"not":7}]}"#,
            "conditions.all[1].not: must be an object with all, any, not, or field and an operator",
        ),
        (
            r#"{"field":"severity"}"#,
            "conditions: a field needs exactly one operator of eq, ne, in, gt, gte, lt, lte, exists, starts_with, at_least",
        ),
        (
            r#"{"field":"severity","eq":"a","ne":"b"}"#,
            "conditions: a field needs exactly one operator of eq, ne, in, gt, gte, lt, lte, exists, starts_with, at_least",
        ),
        (
            r#"{"field":"severity","like":"a"}"#,
            "conditions: \"like\" is not one of eq, ne, in, gt, gte, lt, lte, exists, starts_with, at_least",
        ),
        (r#"{"field":7,"eq":"a"}"#, "conditions.field: must be a string"),
        (
            r#"{"field":"data","eq":"a"}"#,
            "conditions.field: \"data\" is not one of event, severity, priority, project_id, team_id, subject, source or data.…",
        ),
        (r#"{"field":"severity","eq":null}"#, "conditions.eq: null cannot be compared; use exists"),
        (
            r#"{"field":"severity","eq":[1]}"#,
            "conditions.eq: must be a string, a number or a boolean",
        ),
        (
            r#"{"field":"source","eq":1}"#,
            "conditions.eq: source is a text, so this must be a string",
        ),
        (r#"{"field":"source","gt":1}"#, "conditions.gt: source is a text and has no order"),
        (r#"{"field":"data.n","gt":"1"}"#, "conditions.gt: must be a number"),
        (r#"{"field":"data.n","in":[]}"#, "conditions.in: must be an array of 1 to 100 values"),
        (r#"{"field":"data.n","exists":1}"#, "conditions.exists: must be true or false"),
        (r#"{"field":"data.n","starts_with":1}"#, "conditions.starts_with: must be a string"),
        (
            r#"{"field":"severity","at_least":"HIGH"}"#,
            "conditions.at_least: must be info, low, medium, high or critical",
        ),
        (
            r#"{"field":"priority","at_least":"medium"}"#,
            "conditions.at_least: must be low, normal, high or critical",
        ),
        (
            r#"{"field":"priority","eq":"urgent"}"#,
            "conditions.eq: must be critical, high, normal or low",
        ),
        (
            r#"{"field":"project_id","eq":"my-project"}"#,
            "conditions.eq: \"my-project\" is not a UUID",
        ),
        (
            r#"{"field":"data.s","eq":"a\u0000"}"#,
            "conditions.eq: a text must not hold the null character",
        ),
    ] {
        assert_eq!(Conditions::parse(&json(condition)).expect_err(condition).to_string(), error);
    }
    for field in [
        "data.",
        "data.a..b",
        "data.a b",
        "data.a\"b",
        "data.$",
        "data.é",
        "data.a.b.c.d.e.f.g.h.i",
    ] {
        let error = Conditions::parse(&json!({"field": field, "eq": 1})).expect_err(field);
        assert!(error.message.contains("must have, behind data., 1 to 8 names"), "{error}");
    }
}

#[test]
fn conditions_have_limits() {
    let test = json!({"field": "data.n", "eq": 1});
    let nested = |depth| (1..depth).fold(test.clone(), |inner, _| json!({"not": inner}));
    assert!(Conditions::parse(&nested(DEPTH_MAX)).is_ok());
    let error = Conditions::parse(&nested(DEPTH_MAX + 1)).expect_err("deeper");
    assert_eq!(error.message, "nested deeper than 8");
    assert!(Conditions::parse(&json!({"all": vec![test.clone(); NODES_MAX - 1]})).is_ok());
    let error = Conditions::parse(&json!({"all": vec![test; NODES_MAX]})).expect_err("more");
    assert_eq!(
        (error.place.as_str(), error.message.as_str()),
        ("conditions.all[99]", "more than 100 parts")
    );
    assert!(Conditions::parse(&json!({"field": "data.n", "in": vec![1; IN_MAX]})).is_ok());
    assert!(Conditions::parse(&json!({"field": "data.n", "in": vec![1; IN_MAX + 1]})).is_err());
    assert!(
        Conditions::parse(&json!({"field": "source", "eq": "x".repeat(TEXT_BYTES_MAX)})).is_ok()
    );
    assert!(
        Conditions::parse(&json!({"field": "source", "eq": "x".repeat(TEXT_BYTES_MAX + 1)}))
            .is_err()
    );
    let long = json!({"field": "source", "in": vec!["x".repeat(TEXT_BYTES_MAX); IN_MAX]});
    let error = Conditions::parse(&long).expect_err("more than 32 KiB");
    assert_eq!(error.to_string(), "conditions: more than 32768 bytes of JSON");
}

/// I45: the heaviest condition that is taken compiles to a path of its own size, so that what Postgres
/// does with it is bounded as the condition is; nothing in the language repeats, or looks for a pattern.
#[test]
fn i45_no_condition_grows_when_it_is_compiled() {
    for condition in [deep_and_wide(), flat_and_wide()] {
        let written = condition.to_string().len();
        assert!(written > TOTAL_BYTES_MAX * 2 / 3, "heavy: {written}");
        let path = Conditions::parse(&condition).expect("within the limits").to_jsonpath();
        assert!(path.len() < 6 * TOTAL_BYTES_MAX, "{written} bytes became {}", path.len());
    }
    for operator in
        ["like_regex", "regex", "matches", "$regex", "contains", "script", "custom_code"]
    {
        let condition = json!({"field": "data.s", operator: "(a+)+$"});
        let refused = Conditions::parse(&condition).expect_err("no such operator");
        assert!(refused.message.contains("is not one of eq, ne, in"), "{refused}");
    }
}

/// The longest fields and as many values for each as there may be.
fn deep_and_wide() -> Value {
    let field = format!("data.{}", vec!["n".repeat(64); PATH_SEGMENTS_MAX].join("."));
    let test = json!({"field": field, "in": vec![1; IN_MAX]});
    let count = (TOTAL_BYTES_MAX - 16) / (test.to_string().len() + 1);
    json!({"any": vec![test; count.min(NODES_MAX - 1)]})
}

/// As many parts and values as there may be, of a short field.
fn flat_and_wide() -> Value {
    json!({"any": vec![json!({"field": "data.a", "in": vec![1; IN_MAX]}); NODES_MAX - 1]})
}

#[test]
fn every_example_of_the_guide_is_taken() {
    let guide = include_str!("../../../docs/subscriptions.md");
    let examples: Vec<Value> = guide
        .split("```json\n")
        .skip(1)
        .map(|rest| json(rest.split("```").next().expect("a start")))
        .collect();
    assert!(examples.len() >= 5);
    for example in examples {
        let conditions = example.get("conditions").unwrap_or(&example);
        assert!(Conditions::parse(conditions).is_ok(), "{example}");
    }
}

fn any_scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[^\\x00]{0,8}".prop_map(Value::from)
    ]
}

fn any_condition() -> impl Strategy<Value = Value> {
    let field = prop_oneof!["data(\\.[a-z0-9_-]{1,3}){1,3}", Just("severity".to_owned())];
    let leaf = (field, any_scalar(), any::<i16>(), 0..6u8).prop_map(
        |(field, scalar, number, operator)| match operator {
            0 => json!({"field": field, "eq": scalar}),
            1 => json!({"field": field, "ne": scalar}),
            2 => json!({"field": field, "in": [scalar, number]}),
            3 => json!({"field": field, "lt": number}),
            4 => json!({"field": field, "exists": number > 0}),
            _ => json!({"field": field, "at_least": "medium"}),
        },
    );
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|nodes| json!({"all": nodes})),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|nodes| json!({"any": nodes})),
            inner.prop_map(|node| json!({"not": node})),
        ]
    })
}

proptest! {
    /// Whatever the text: nothing ends the literal but its end, and reading it gives the text back.
    #[test]
    fn no_text_escapes_its_literal(text in any::<String>()) {
        let literal = quote(&text);
        let inner = &literal[1..literal.len() - 1];
        prop_assert!(literal.starts_with('"') && literal.ends_with('"') && literal.is_ascii());
        prop_assert!(!inner.contains('"') && !inner.contains('\''));
        prop_assert_eq!(inner.matches('\\').count(), inner.matches("\\u").count());
        // The literal happens to be JSON as well, which has the same escapes.
        prop_assert_eq!(serde_json::from_str::<String>(&literal).expect("a JSON string"), text);
    }

    #[test]
    fn conditions_read_back_as_they_were_written(condition in any_condition()) {
        let read = Conditions::parse(&condition).expect("generated within the limits");
        prop_assert_eq!(read.to_json(), condition);
    }

    #[test]
    fn not_is_always_the_opposite(condition in any_condition(), n in any::<i16>(), s in "[a-z]{0,3}") {
        let document = json!({"severity": s, "data": {"a": n, "b": {"c": s}}});
        let plain = Conditions::parse(&condition).expect("generated");
        if let Ok(opposite) = Conditions::parse(&json!({"not": condition})) {
            prop_assert_eq!(plain.matches(&document), !opposite.matches(&document));
        }
    }

    #[test]
    fn a_pattern_matches_as_the_database_says(kind in "[ab]{1,2}(\\.[ab]{1,2}){1,3}", pattern in "([ab]{1,2}\\.){1,3}(\\*|[ab]{1,2})") {
        // The list that `relay.kind_patterns` makes.
        let parts: Vec<&str> = kind.split('.').collect();
        let mut answers = vec!["*".to_owned(), kind.clone()];
        answers.extend((1..parts.len()).map(|n| format!("{}.*", parts[..n].join("."))));
        let read = patterns(&[&pattern]).expect("generated");
        prop_assert_eq!(read.matches(&kind), answers.contains(&pattern));
    }
}
