// The parts of a bar fill it, and a part that is there can be seen.
import { expect, it } from "vitest";

import { shares, timingParts, requestTime } from "./timing";

it("fills the bar, and hides nothing that is there", () => {
  const found = shares([1, 1, 100_000, 0]);
  expect(found.reduce((sum, one) => sum + one, 0)).toBeCloseTo(100);
  expect(found.slice(0, 2).every((one) => one >= 1)).toBe(true);
  expect(found[3]).toBe(0);
  expect(shares([0, 0])).toEqual([0, 0]);
});

it("tells a part that did not happen from one that took no time", () => {
  const parts = timingParts({ queue_ms: 2, pace_ms: 0, connect_ms: null, send_ms: 1, wait_ms: 30, read_ms: 1 });
  expect(parts.map((part) => part.milliseconds)).toEqual([2, 0, null, 1, 30, 1]);
  expect(requestTime(parts)).toBe(32);
});

it("draws the request alone: hours in the queue would hide it", () => {
  const parts = timingParts({ queue_ms: 3_600_000, pace_ms: 500, connect_ms: 10, send_ms: 0, wait_ms: 30, read_ms: 0 });
  expect(parts.map((part) => Math.round(part.share))).toEqual([0, 0, 25, 0, 75, 0]);
  expect(parts.filter((part) => !part.isRequest).map((part) => part.name)).toEqual(["queue", "pace"]);
});
