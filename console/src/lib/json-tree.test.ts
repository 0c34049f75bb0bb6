// JSON is shown as it was written.
import { describe, expect, it } from "vitest";

import { childrenOf, memberText, parseTree, pretty, quoted, sizeOf, summary } from "./json-tree";

describe("parseTree", () => {
  it("keeps digits, order and repeated keys", () => {
    const tree = parseTree('{"b":12345678901234567890,"a":1.50,"a":[true,null,-0.0e+1]}');
    expect(tree && pretty(tree)).toBe(
      '{\n  "b": 12345678901234567890,\n  "a": 1.50,\n  "a": [\n    true,\n    null,\n    -0.0e+1\n  ]\n}',
    );
  });

  it("accepts what JSON.parse accepts and refuses what it refuses", () => {
    const texts = [
      "{}",
      "[]",
      '""',
      "0",
      "-0",
      "1e5",
      "1E-5",
      " \n[1 , 2]\t",
      '"\\u00e9\\n\\/"',
      "true",
      "null",
      '{"a":{"b":[{}]}}',
      "",
      " ",
      "{",
      "[1,]",
      "{,}",
      '{"a"}',
      '{"a":}',
      '{"a":1,}',
      "01",
      "1.",
      ".5",
      "+1",
      "NaN",
      "tru",
      "'a'",
      '"\n"',
      '"\\x"',
      '"a',
      "1 2",
      "[1 2]",
      "\u00a01",
      '{"a":1}}',
    ];
    for (const text of texts) {
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      expect(parseTree(text) !== null, text).toBe(isJson);
    }
  });

  it("means the same as JSON.parse", () => {
    const text = JSON.stringify({
      text: 'q"\\\u0001é😀\u202e</script>',
      list: [1, -2.5, [], {}, null],
      "": { " ": false },
    });
    const tree = parseTree(text);
    expect(tree && JSON.parse(pretty(tree))).toEqual(JSON.parse(text));
  });

  it("is not brought down by depth or length", () => {
    expect(parseTree("[".repeat(100_000))).toBeNull();
    const wide = `[${"1,".repeat(50_000)}1]`;
    const tree = parseTree(wide);
    expect(tree && summary(tree)).toBe("[50001]");
    expect(parseTree(`"${"a".repeat(300_000)}"`)).not.toBeNull();
  });
});

describe("a member", () => {
  it("is given byte for byte", () => {
    const text = '{"id":"x","data": {"n":12345678901234567890,"m":1.50 ,"\\u00e9":[]} ,"after":1}';
    expect(memberText(text, "data")).toBe('{"n":12345678901234567890,"m":1.50 ,"\\u00e9":[]}');
    expect(memberText(text, "id")).toBe('"x"');
    expect(memberText('{"data":null}', "data")).toBe("null");
  });

  it("is not found in what has none, or is no object", () => {
    expect(memberText('{"a":{"data":1}}', "data")).toBeNull();
    expect(memberText('["data"]', "data")).toBeNull();
    expect(memberText('{"data":', "data")).toBeNull();
  });
});

describe("a string", () => {
  it("shows what would hide or mislead, and is still JSON", () => {
    const text = "a\u202eexe.txt\u200b\u001b[31m</script>\n";
    expect(quoted(text)).toBe('"a\\u202eexe.txt\\u200b\\u001b[31m</script>\\n"');
    expect(JSON.parse(quoted(text))).toBe(text);
    expect(quoted("שלום é 😀")).toBe('"שלום é 😀"');
  });
});

describe("a node", () => {
  it("says how much is in it", () => {
    const tree = parseTree('{"a":[1,2,3],"b":"x"}')!;
    expect(summary(tree)).toBe("{2}");
    expect(childrenOf(tree).map(({ key, value }) => [key, summary(value)])).toEqual([
      ["a", "[3]"],
      ["b", ""],
    ]);
  });

  it("is counted only as far as it matters", () => {
    expect(sizeOf(parseTree('{"a":[1,{"b":2}]}')!)).toBe(5);
    expect(sizeOf(parseTree(`[${"1,".repeat(5_000)}1]`)!)).toBe(1_000);
  });
});
