//! Tests of the strict check, among them the worst bodies of the bad-input list.

use proptest::prelude::*;

use super::*;

fn code_of(text: &str) -> &'static str {
    check(text.as_bytes()).expect_err(text).code
}

#[test]
fn i37_what_readers_would_read_differently_is_refused_with_its_place() {
    for (text, code, line, column) in [
        ("{\"a\":1,\n \"a\":2}", "duplicate_key", 2, 4),
        ("{\"a\":1,\"\\u0061\":2}", "duplicate_key", 1, 15),
        ("[1,\n1e999]", "number_out_of_range", 2, 5),
        ("[\n\n  1e-99999]", "number_out_of_range", 3, 3),
        (r#"["\ud800"]"#, "lone_surrogate", 1, 9),
        (r#"["\udc00"]"#, "lone_surrogate", 1, 8),
        (r#"["\ud800\u0041"]"#, "lone_surrogate", 1, 14),
        (r#"{"a":"\u0000"}"#, "null_character", 1, 13),
        (r#"{"\u0000":1}"#, "null_character", 1, 9),
        ("", "malformed_json", 1, 0),
        ("  \n", "malformed_json", 2, 0),
        ("{\"a\":1,}", "malformed_json", 1, 8),
        ("{'a':1}", "malformed_json", 1, 2),
        ("[1] [2]", "malformed_json", 1, 5),
        ("{\"a\"", "malformed_json", 1, 4),
        ("NaN", "malformed_json", 1, 1),
        ("[01]", "malformed_json", 1, 3),
        ("\u{feff}{}", "malformed_json", 1, 1),
    ] {
        let refused = check(text.as_bytes()).expect_err(text);
        assert_eq!((refused.code, refused.line, refused.column), (code, line, column), "{text}");
        assert!(refused.to_string().ends_with(&format!("(line {line}, column {column})")));
    }
}

#[test]
fn i37_bytes_that_are_not_utf8_are_refused() {
    for bytes in [&b"{\"a\":\"\xff\"}"[..], b"{\"\xc3\x28\":1}", b"[\"\xed\xa0\x80\"]"] {
        assert_eq!(check(bytes).expect_err("not UTF-8").code, "invalid_utf8", "{bytes:?}");
    }
}

/// Every shape is refused at its first offence, on a stack that a hundred thousand frames would burst.
#[test]
fn i37_huge_hostile_bodies_are_refused_at_once() {
    let arrays = "[".repeat(100_000).into_bytes();
    let objects = "{\"a\":".repeat(100_000).into_bytes();
    let mut keys = b"{".to_vec();
    for key in 0..20_000 {
        keys.extend_from_slice(format!("\"k{key}\":1,").as_bytes());
    }
    keys.extend_from_slice(&b"\"z\":1,".repeat(9_980_000));
    let mut spread = b"[".to_vec();
    spread.extend_from_slice(&b"{\"a\":1},".repeat(10_000_000));
    let cases: [(&str, Vec<u8>, &str, &str); 4] = [
        ("arrays", arrays, "too_deep", "too_deep"),
        ("objects", objects, "too_deep", "too_deep"),
        ("ten million keys", keys, "too_many_keys", "too_many_keys"),
        ("ten million objects", spread, "too_many_keys", "batch_too_large"),
    ];
    for (name, body, alone, in_batch) in cases {
        assert_eq!(check(&body).expect_err(name).code, alone, "{name}");
        assert_eq!(check_batch(&body, 1_000).expect_err(name).code, in_batch, "{name}");
    }
}

#[test]
fn the_limits_are_exact() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(check(nested(DEPTH_MAX).as_bytes()), Ok(Kind::Array));
    assert_eq!(code_of(&nested(DEPTH_MAX + 1)), "too_deep");
    let keyed = |keys: usize| {
        let keys: Vec<String> = (0..keys).map(|key| format!("\"{key}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    };
    assert_eq!(check(keyed(KEYS_MAX).as_bytes()), Ok(Kind::Object));
    assert_eq!(code_of(&keyed(KEYS_MAX + 1)), "too_many_keys");
    assert_eq!(check(b"[1e400, 1e-400, -0.0]").expect_err("1e400").code, "number_out_of_range");
    assert_eq!(check(b"[1e308, 1e-400, -0.0, 123456789012345678901234567890]"), Ok(Kind::Array));
    assert_eq!(code_of(&format!("0.{}", "1".repeat(NUMBER_CHARS_MAX))), "number_out_of_range");
    assert_eq!(check(b"[\"1e-99999\", \"\\\\\", 0.5]"), Ok(Kind::Array));
}

#[test]
fn each_item_of_a_batch_has_limits_of_its_own() {
    let nested = format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
    let keys: Vec<String> = (0..9_000).map(|key| format!("\"{key}\":0")).collect();
    let wide = format!("{{{}}}", keys.join(","));
    let batch = format!("[{nested},{wide},{wide}]");
    assert_eq!(check_batch(batch.as_bytes(), 3), Ok(Kind::Array));
    assert_eq!(check(batch.as_bytes()).expect_err("one document").code, "too_deep");
    assert_eq!(check_batch(b"[1,2,3,4]", 3).expect_err("four").code, "batch_too_large");
    assert_eq!(check_batch(b"[]", 3), Ok(Kind::Array));
    assert_eq!(check_batch(b"{}", 3), Ok(Kind::Object));
}

#[test]
fn a_key_of_one_object_may_stand_in_another() {
    let text = r#"{"a":{"a":1},"b":[{"a":1},{"a":1}],"":0,"É":1,"é":2}"#;
    assert_eq!(check(text.as_bytes()), Ok(Kind::Object));
    let keys: Vec<String> = (0..40).map(|key| format!("\"k{key}\":0")).collect();
    for again in ["k3", "k39"] {
        assert_eq!(code_of(&format!("{{{},\"{again}\":1}}", keys.join(","))), "duplicate_key");
    }
}

#[test]
fn a_callers_word_cannot_break_a_message() {
    assert_eq!(quoted("a\u{1b}[31m\n"), r#""a\u{1b}[31m\n""#);
    assert!(quoted(&"x".repeat(1_000)).chars().count() < 70);
}

proptest! {
    /// Whatever the bytes are, the answer is the one that serde_json gives, or stricter.
    #[test]
    fn what_passes_is_json(text in r#"[\[\]{}:,"a0\\e.\-ud8 tru]{0,40}"#) {
        if check(text.as_bytes()).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = check(&bytes);
        let _ = check_batch(&bytes, 2);
    }
}
