// A connection's trouble is told by what holds now, not by what was.
import { expect, it } from "vitest";

import { troubles } from "./trouble";

const now = Date.parse("2026-11-23T12:00:00Z");
const words = (trouble: Parameters<typeof troubles>[0]) => troubles(trouble, now).map((one) => one.word);

it("names each thing that holds", () => {
  expect(words({ status: "error" })).toEqual(["Error"]);
  expect(
    words({
      status: "connected",
      failing_since: "2026-11-23T10:00:00Z",
      breaker_open_until: "2026-11-23T12:05:00Z",
      held_until: "2026-11-23T12:01:00Z",
      held_because: "throttled",
    }),
  ).toEqual(["Breaker open", "Held", "Failing"]);
});

it("passes over holds and breakers that are over", () => {
  expect(words({ status: "connected", held_until: "2026-11-23T11:59:59Z", breaker_open_until: "2026-11-23T11:00:00Z" })).toEqual([]);
});

it("says why and for how long", () => {
  const [held] = troubles({ status: "connected", held_until: "2026-11-23T12:02:00Z", held_because: "throttled" }, now);
  expect(held?.sentence).toBe("It asked us to wait. Sending goes on in 2 min.");
  const [other] = troubles({ status: "connected", held_until: "2026-11-23T12:02:00Z", held_because: "points_used_up" }, now);
  expect(other?.sentence).toContain("Points used up.");
  const [soon] = troubles({ status: "connected", breaker_open_until: "2026-11-23T12:00:02Z" }, now);
  expect(soon?.sentence).toContain("the next one any moment now.");
});
