// A replay asks for what the form says, and tells how far it has come.
import { describe, expect, it } from "vitest";

import {
  advanced,
  emptyForm,
  formErrors,
  formOf,
  isFinal,
  isMoving,
  milestone,
  notReplayable,
  progressSentence,
  requestOf,
  selectionOfFilter,
  selectionTerms,
  share,
  type ReplayForm,
} from "./replay";

const now = Date.parse("2026-11-23T12:00:00Z");
const form = (changes: Partial<ReplayForm> = {}): ReplayForm => ({ ...emptyForm(now), ...changes });
const progress = { status: "running", total: 200, considered: 50, replayed: 45, skipped: 5, eta_seconds: 90 };

describe("the form", () => {
  it("asks for what failed in the last day, to begin with", () => {
    expect(requestOf(form(), true)).toEqual({
      selection: { failed_since: "2026-11-22T12:00:00.000Z" },
      configuration: "current",
      rate_per_second: 100,
      dry_run: true,
    });
  });

  it("asks for one kind of selection only", () => {
    const missed = requestOf(form({ mode: "missed", status: ["dead"], provider: " slack " }), false);
    expect(missed.selection).toEqual({ missed_since: "2026-11-22T12:00:00.000Z", provider: "slack" });
    expect(missed).not.toHaveProperty("dry_run");
    const filtered = requestOf(
      form({ mode: "filter", status: ["dead", "expired"], until: "2026-11-23T00:00:00.000Z" }),
      false,
    );
    expect(filtered.selection).toEqual({
      status: ["dead", "expired"],
      since: "2026-11-22T12:00:00.000Z",
      until: "2026-11-23T00:00:00.000Z",
    });
  });

  it("sends a reason only if there is one", () => {
    expect(requestOf(form({ reason: "  " }), false)).not.toHaveProperty("reason");
    expect(requestOf(form({ reason: " receiver was down " }), false).reason).toBe("receiver was down");
  });

  it("names what is wrong", () => {
    expect(formErrors(form())).toEqual({});
    for (const rate of ["0", "10001", "1.5", "-1", "", "many"])
      expect(formErrors(form({ rate }))).toHaveProperty("rate");
    expect(formErrors(form({ since: undefined }))).toHaveProperty("since");
    expect(formErrors(form({ mode: "filter", since: undefined }))).toEqual({});
    expect(formErrors(form({ mode: "filter", status: [] }))).toHaveProperty("status");
    expect(formErrors(form({ until: "2026-11-20T00:00:00.000Z" }))).toHaveProperty("until");
  });
});

describe("a link to the form", () => {
  const begun = (query: string) => formOf(new URLSearchParams(query), now);

  it("says what was missed, or failed, or which", () => {
    expect(begun("missed_since=2026-11-20T08:00:00Z&connection_id=c")).toMatchObject({
      mode: "missed",
      since: "2026-11-20T08:00:00.000Z",
      connection_id: "c",
    });
    expect(begun("failed_since=2026-11-20T08:00:00Z")).toMatchObject({ mode: "failed", since: "2026-11-20T08:00:00.000Z" });
    expect(begun("status=dead&status=pending&provider=slack")).toMatchObject({ mode: "filter", status: ["dead"], since: undefined });
  });

  it("that says nothing, or nonsense, begins as ever", () => {
    expect(begun("")).toEqual(form());
    expect(begun("missed_since=yesterday&status=lost")).toEqual(form());
  });
});

describe("all that match a list", () => {
  it("have the list's filter, its period fixed", () => {
    const filter = { status: ["dead"], provider: "slack", range: "1h" as const };
    expect(selectionOfFilter(filter, now)).toEqual({
      status: ["dead"],
      provider: "slack",
      since: "2026-11-23T11:00:00.000Z",
    });
  });

  it("are those that did not arrive, unless a status says otherwise", () => {
    expect(selectionOfFilter({ status: [], provider: "slack" }, now)).toEqual({ status: ["dead", "skipped", "expired"], provider: "slack" });
  });

  it("cannot be asked for by filters that a replay does not know", () => {
    expect(notReplayable({ status: [], external_id: "SEC-1", class: "live", event_id: "e" })).toHaveLength(3);
    expect(notReplayable({ status: ["dead"], provider: "slack" })).toEqual([]);
  });
});

describe("progress", () => {
  it("is unknown until it is counted, and never more than whole", () => {
    expect(share({ ...progress, total: null })).toBeNull();
    expect(share(progress)).toBe(0.25);
    expect(share({ ...progress, considered: 300 })).toBe(1);
    expect(share({ ...progress, total: 0 })).toBe(1);
    expect(share({ ...progress, status: "completed", total: null })).toBe(1);
  });

  it("is a sentence", () => {
    expect(progressSentence(progress)).toBe("45 deliveries replayed, 5 skipped, about 1 min 30 s left");
    expect(progressSentence({ ...progress, eta_seconds: null, skipped: 0, replayed: 1 })).toBe("1 delivery replayed");
    expect(progressSentence({ ...progress, status: "paused" })).toMatch(/^Paused: 45/);
    expect(["completed", "cancelled", "failed"].every(isFinal)).toBe(true);
    expect(["counting", "running", "paused"].some(isFinal)).toBe(false);
  });
});

describe("milestones", () => {
  it("change with the status and with each tenth", () => {
    const at = (considered: number, status = "running") => milestone({ ...progress, considered, status });
    expect(at(40)).toBe(at(59));
    expect(at(40)).not.toBe(at(60));
    expect(at(40)).not.toBe(at(40, "paused"));
  });
});

describe("the terms of a selection", () => {
  it("are those that are set", () => {
    const terms = selectionTerms({
      status: ["dead", "expired"],
      since: "2026-11-22T12:00:00Z",
      delivery_ids: ["a", "b"],
    });
    expect(terms).toEqual([
      { name: "chosen deliveries", value: "2", isInstant: false },
      { name: "status", value: "dead, expired", isInstant: false },
      { name: "from", value: "2026-11-22T12:00:00Z", isInstant: true },
    ]);
    expect(selectionTerms({})).toEqual([]);
  });
});

describe("advanced", () => {
  const row = { id: "r", status: "counting", total: null, considered: 0, replayed: 0, skipped: 0, delivered: 0, still_waiting: 0, rate_per_second: 10, eta_seconds: null, reason: "kept" };
  const news = { id: "r", status: "running", total: 100, done: 35, replayed: 30, delivered: 12 };

  it("takes over what the stream tells, and reckons the rest", () => {
    const after = advanced(row, news);
    expect(after).toEqual({ ...row, status: "running", total: 100, considered: 35, replayed: 30, skipped: 5, delivered: 12, still_waiting: 18, eta_seconds: 7 });
    // Those given up meanwhile are not on the way, although they did not arrive.
    const known = { ...after, still_waiting: 3 };
    expect(advanced(known, { ...news, delivered: 14 }).still_waiting).toBe(1);
    expect(advanced(known, { ...news, delivered: 30 }).still_waiting).toBe(0);
  });

  it("says how long it takes only while it runs", () => {
    for (const status of ["counting", "paused", "completed", "cancelled", "failed"]) expect(advanced(row, { ...news, status }).eta_seconds).toBeNull();
    expect(advanced(row, { ...news, total: null }).eta_seconds).toBeNull();
    expect(advanced(row, { ...news, done: 120 }).eta_seconds).toBe(0);
  });

  it("is followed until what it made due has ended", () => {
    expect(isMoving({ status: "paused", still_waiting: 0 })).toBe(true);
    expect(isMoving({ status: "completed", still_waiting: 1 })).toBe(true);
    expect(isMoving({ status: "completed", still_waiting: 0 })).toBe(false);
  });
});
