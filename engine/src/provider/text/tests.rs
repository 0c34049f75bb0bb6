//! Tests of what customers' text becomes.

use proptest::prelude::*;

use super::*;

type Escaper = fn(&str) -> String;

const ESCAPERS: [(&str, Escaper); 5] = [
    ("slack", slack),
    ("discord", discord),
    ("markdown", markdown),
    ("jira_wiki", jira_wiki),
    ("html", html),
];

fn shown(text: &str) -> String {
    text.replace(GAP, "·")
}

#[test]
fn ordinary_words_stay_as_they_are() {
    for text in [
        "lodash 4.17.20",
        "4.17.20",
        "ada@example.com",
        "CVE-2026-1234 in shop, used by Ada.",
        "Österreich 日本 🔴",
        "",
    ] {
        for (name, escape) in ESCAPERS {
            assert_eq!(escape(text), text, "{name}");
        }
    }
}

#[test]
fn each_markup_is_escaped_in_its_own_way() {
    for (escape, text, expected) in [
        (slack as Escaper, "<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@·U1&gt;"),
        (slack, "<https://evil.example|Deptex>", "&lt;https:·//evil.example|Deptex&gt;"),
        (
            discord,
            "@everyone <@&7> **b** `c` ||s||",
            r"@·everyone \<@·&7\> \*\*b\*\* \`c\` \|\|s\|\|",
        ),
        (discord, "[Deptex](https://evil.example)", r"\[Deptex\](https:·//evil.example)"),
        (discord, "# loud", "·# loud"),
        (discord, "x@everyone a@Here me@evil", "x@·everyone a@·Here me@evil"),
        (discord, r"\<@7>", r"\\\<@·7\>"),
        (
            markdown,
            "@octocat fixes #12, GH-12 and o/r#12",
            "@·octocat fixes #·12, GH-·12 and o/r#·12",
        ),
        (markdown, "![x](http://e.example)", r"!\[x\](http:·//e.example)"),
        (markdown, "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        (markdown, "/close", "·/close"),
        (markdown, "1. one", "·1. one"),
        (
            markdown,
            "a*b* `c` ~~d~~ $e$ |f| !7 ~\"bug\"",
            "a\\*b\\* \\`c\\` &#126;&#126;·d&#126;&#126; &#36;·e&#36; &#124;f&#124; !·7 &#126;·\"bug\"",
        ),
        (markdown, "&lt;img&gt; www.evil.example", "&amp;·lt;img&amp;·gt; www·.evil.example"),
        (jira_wiki, "[~admin] {code} !a.png! *b*", r"\[\~admin\] \{code\} \!a.png\! \*b\*"),
        (jira_wiki, "[Deptex|https://e.example]", r"\[Deptex\|https:·//e.example\]"),
        (jira_wiki, "h1. loud", "·h1. loud"),
        (jira_wiki, r"C:\x foo_bar -gone-", r"C:&#92;x foo_bar \-gone\-"),
        (html, r#"<a href="x">'&'"#, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;"),
    ] {
        assert_eq!(shown(&escape(text)), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_seen_does_not_get_through() {
    let text = "a\u{202e}b\u{200b}c\u{1b}[31m\r\nd\u{2028}e\u{e0041}\u{feff}";
    assert_eq!(plain(text), "abc[31m  d e");
    assert_eq!(plain("  می\u{200c}خواهم  "), "می\u{200c}خواهم", "joiners belong to scripts");
}

#[test]
fn a_long_text_is_cut_visibly_and_within_its_limit() {
    assert_eq!(clip("short", 5, CUT), "short");
    assert_eq!(clip("a longer text than that", 22, CUT), "a long… View in Deptex");
    assert_eq!(clip("🔴🔴🔴🔴", 5, "…"), "🔴🔴…", "an emoji counts twice");
    assert_eq!(clip("four words are here", 3, CUT), "fo…", "a tail that does not fit is a dot");
}

#[test]
fn a_cut_never_halves_an_escape() {
    for (text, chars_max, expected) in [
        (r"ab\*cdefgh", 4, "ab…"),
        (r"ab\*cdefgh", 5, r"ab\*…"),
        (r"a\\\\bcdef", 4, r"a\\…"),
        ("ab&#124;cdef", 8, "ab…"),
        ("ab&#124;cdef", 9, "ab&#124;…"),
        ("ab&amp;cdefg", 5, "ab…"),
        ("ab & cdefghijklmn", 12, "ab & cdefgh…"),
    ] {
        assert_eq!(clip(text, chars_max, "…"), expected, "{text} {chars_max}");
    }
}

#[test]
fn words_that_were_cut_when_they_were_written_say_so() {
    let cut = format!("{}…", "x".repeat(BODY_CHARS_MAX - 1));
    assert!(with_visible_cut(cut).ends_with("xx… View in Deptex"));
    assert_eq!(with_visible_cut("Wait…".to_owned()), "Wait…");
}

proptest! {
    #[test]
    fn no_text_gets_past_an_escaper(text in r#"([@<>&\[\]()!#*_~`{}|\\:/w.$%^+-]|evil|\PC){0,40}"#) {
        for (name, escape) in ESCAPERS {
            let out = escape(&text);
            prop_assert!(!out.contains("://"), "{name} {out}");
            prop_assert!(!format!(" {out}").contains(" @evil"), "{name} {out}");
            prop_assert!(name == "discord" || name == "jira_wiki" || !out.contains('<'), "{name} {out}");
        }
        let bare = |text: &str, what: char| {
            let chars: Vec<char> = text.chars().collect();
            (0..chars.len()).any(|at| {
                chars[at] == what
                    && chars[..at].iter().rev().take_while(|c| **c == '\\').count() % 2 == 0
            })
        };
        for what in ['*', '_', '`', '[', ']', '<', '|'] {
            prop_assert!(!bare(&discord(&text), what), "{}", discord(&text));
        }
        for what in ['*', '_', '`', '[', ']'] {
            prop_assert!(!bare(&markdown(&text), what), "{}", markdown(&text));
        }
        for what in ['*', '{', '}', '[', ']', '!', '|'] {
            prop_assert!(!bare(&jira_wiki(&text), what), "{}", jira_wiki(&text));
        }
    }

    #[test]
    fn a_clipped_text_keeps_its_limit_and_its_escapes(
        text in r#"([\\*&<|]|\PC){0,60}"#,
        chars_max in 1usize..80,
    ) {
        let out = clip(&markdown(&text), chars_max, "…");
        prop_assert!(chars(&out) <= chars_max);
        let kept = out.trim_end_matches('…');
        let backslashes = kept.len() - kept.trim_end_matches('\\').len();
            prop_assert!(backslashes.is_multiple_of(2), "{out}");
    }
}
