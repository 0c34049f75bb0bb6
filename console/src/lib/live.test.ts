// News change the row that they are about, and no other; old news change nothing.
import { describe, expect, it } from "vitest";

import { mayMatch, mergeNewest, patched, WATCHED_MAX, type LiveDelivery } from "./live";

const news: LiveDelivery = {
  id: "a",
  connection_id: "c",
  event_id: "e",
  event: "vulnerability.found",
  status: "delivered",
  attempts: 2,
  status_code: 200,
  error_class: null,
  reason: null,
  class: "retry",
  at: "2026-11-23T12:00:01Z",
};
const row = {
  id: "a",
  status: "pending",
  attempts: 1,
  reason: "held",
  class: "live",
  updated_at: "2026-11-23T12:00:00Z",
  subject: "kept",
};

describe("patched", () => {
  it("changes what the news tell and keeps the rest", () => {
    expect(patched(row, news)).toMatchObject({
      status: "delivered",
      attempts: 2,
      reason: null,
      status_code: 200,
      subject: "kept",
    });
  });

  it("gives the same object where there is nothing new", () => {
    expect(patched(row, { ...news, id: "b" })).toBe(row);
    expect(patched(row, { ...news, at: "2026-11-23T11:59:59Z" })).toBe(row);
    expect(patched(row, { ...news, status: "pending", attempts: 1, reason: "held" })).toBe(row);
  });
});

describe("mayMatch", () => {
  it("takes what fits, and what cannot be told", () => {
    expect(mayMatch({ status: [] }, news)).toBe(true);
    expect(mayMatch({ status: ["delivered"], subject: "x", provider: "slack" }, news)).toBe(true);
    expect(mayMatch({ status: [], event: "other.kind" }, { ...news, event: null })).toBe(true);
  });

  it.each([
    { status: ["dead"] },
    { status: [], connection_id: "d" },
    { status: [], event: "other.kind" },
    { status: [], event_id: "f" },
    { status: [], class: "live" },
    { status: [], until: "2026-11-23T12:00:00Z" },
  ])("passes over what does not: %o", (filter) => {
    expect(mayMatch(filter, news)).toBe(false);
  });
});

describe("mergeNewest", () => {
  const row = (id: string, n = 1) => ({ id, n });
  const shown = [
    [row("d"), row("c")],
    [row("b"), row("a")],
  ];
  const names = (pages: { id: string; n: number }[][]) =>
    pages.map((page) => page.map((one) => `${one.id}${one.n}`).join(" "));

  it("puts the new ones on top and renews the others in place", () => {
    const { pages, added, isAnew } = mergeNewest(shown, [row("e", 2), row("d", 2), row("b", 2)], false);
    expect(added).toEqual(["e"]);
    expect(names(pages)).toEqual(["e2 d2 c1", "b2 a1"]);
    expect(isAnew).toBe(false);
  });

  it("keeps what the stream has said since the page was read", () => {
    const at = (second: number, n: number) => ({ id: "a", n, updated_at: `2026-11-23T12:00:0${second}Z` });
    expect(mergeNewest([[at(2, 2)]], [at(1, 1)], false).pages).toEqual([[at(2, 2)]]);
    expect(mergeNewest([[at(1, 1)]], [at(2, 2)], false).pages).toEqual([[at(2, 2)]]);
  });

  it("keeps a row that no longer matches: it does not vanish under the reader", () => {
    expect(names(mergeNewest(shown, [row("c", 2)], false).pages)).toEqual(["d1 c2", "b1 a1"]);
  });

  it("begins anew where the page and the list do not meet", () => {
    const { pages, added, isAnew } = mergeNewest(shown, [row("h"), row("g")], false);
    expect([names(pages), added, isAnew]).toEqual([["h1 g1"], ["h", "g"], true]);
    // The last page leaves nothing between.
    expect(mergeNewest(shown, [row("h"), row("g")], true).isAnew).toBe(false);
  });

  it("begins anew where the list grew too long to be watched", () => {
    const many = Array.from({ length: WATCHED_MAX }, (_, at) => row(String(at)));
    expect(mergeNewest([many], [row("new"), row("0")], false)).toMatchObject({ isAnew: true, added: ["new"] });
    expect(mergeNewest([many], [row("0")], false).isAnew).toBe(false);
  });

  it("begins with what comes into an empty list", () => {
    expect(mergeNewest([[]], [row("a")], true)).toMatchObject({ added: ["a"], pages: [[row("a")]] });
    expect(mergeNewest([], [row("a")], true).pages).toEqual([[row("a")]]);
  });
});
