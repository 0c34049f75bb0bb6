// Every code that the engine can give has words, and a code that is not known yet is still readable.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";

import { errorClass, isKnownReason, KNOWN_ERROR_CLASSES, reason, settlement, STATUSES, statusCodeTone, statusSentence, verdict } from "./words";

const engine = (path: string) => readFileSync(resolve(import.meta.dirname, "../../../engine/src", path), "utf8");

/** The codes of the first `as_str` behind `after`. */
function codes(source: string, after: string): string[] {
  const begin = source.indexOf("fn as_str", source.indexOf(after));
  const found = [...source.slice(begin, source.indexOf("\n    }", begin)).matchAll(/=> "([a-z_]+)"/g)].map((match) => match[1]!);
  expect(found.length).toBeGreaterThan(5);
  return found;
}

describe("the engine's codes", () => {
  it("for why a delivery waits or ended have a sentence each", () => {
    const all = [...codes(engine("delivery/state.rs"), "impl DeliveryReason"), "breaker_open", "rate_limited", "collected", "behind_another"];
    expect(all.filter((code) => !isKnownReason(code))).toEqual([]);
    for (const code of all) expect(reason(code).sentence, code).not.toBe("");
  });

  it("for failures of a request have a label each", () => {
    expect(codes(engine("http/failure.rs"), "impl Failure").filter((code) => !KNOWN_ERROR_CLASSES.includes(code))).toEqual([]);
  });
});

describe("words", () => {
  it("stand for every status", () => {
    for (const status of STATUSES) expect(statusSentence(status)).not.toBe("");
  });

  it("are made of a code that nobody explained", () => {
    expect(reason("a_new_reason")).toEqual({ label: "A new reason", sentence: "" });
    expect(errorClass("channel_not_found")).toBe("channel_not_found");
    expect(settlement("something_else")).toEqual({ label: "Something else", tone: "idle" });
    expect(verdict("not_matched").label).toBe("Did not match");
  });

  it("are not confused by names that every object has", () => {
    expect(isKnownReason("constructor")).toBe(false);
    expect(reason("toString").label).toBe("ToString");
    expect(errorClass("constructor")).toBe("constructor");
    expect(verdict("constructor").label).toBe("Constructor");
  });

  it("tell answers apart by their hundred", () => {
    expect([204, 302, 404, 429, 503].map(statusCodeTone)).toEqual(["good", "warn", "bad", "warn", "bad"]);
  });
});
