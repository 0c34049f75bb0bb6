// The axis of a chart ends at a round number that is not below the largest value.
import { expect, it } from "vitest";

import { logTimes, ticks, timeTicks } from "./ticks";

it("covers every maximum with few round lines", () => {
  for (const max of [0, 0.3, 1, 2, 3, 5, 7, 9, 10, 11, 99, 100, 101, 950, 1234, 99_999, 1e7]) {
    const scale = ticks(Math.max(max, 1));
    expect(scale.max).toBeGreaterThanOrEqual(max);
    expect(scale.at.length).toBeGreaterThanOrEqual(2);
    expect(scale.at.length).toBeLessThanOrEqual(5);
    expect(scale.at.every(Number.isInteger)).toBe(true);
    expect(scale.at.at(-1)).toBe(scale.max);
  }
});

it("has round minutes", () => {
  const scale = timeTicks(100_000);
  expect(scale.at.map(scale.text)).toEqual(["0 min", "1 min", "2 min"]);
  expect(timeTicks(900).at.map(timeTicks(900).text)).toEqual(["0 ms", "500 ms", "1000 ms"]);
  expect(timeTicks(7_200_000).max).toBeGreaterThanOrEqual(7_200_000);
});

it("encloses latencies on a logarithmic axis, which never begins at nothing", () => {
  expect(logTimes([12, 340]).at).toEqual([10, 100, 1_000]);
  expect(logTimes([38, 1_074_000]).at).toEqual([10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000]);
  expect(logTimes([10, 10]).at).toEqual([10, 100]);
  expect(logTimes([0.2, 0]).at).toEqual([1, 10]);
  expect(logTimes([]).at).toEqual([1, 10]);
  for (const value of [1, 7, 99, 100, 86_400_000, 5e9]) {
    const { min, max, at } = logTimes([value]);
    expect(min).toBeGreaterThan(0);
    expect(at.length).toBeGreaterThanOrEqual(2);
    expect(min).toBeLessThanOrEqual(value);
    expect(value > 864_000_000 || max >= value).toBe(true);
  }
});
