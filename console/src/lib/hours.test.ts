// Hours become bars without losing any.
import { describe, expect, it } from "vitest";

import { bars, success, type Hour } from "./hours";

const hour = (at: number, part: Partial<Hour> = {}): Hour => ({
  hour: new Date(Date.UTC(2026, 0, 1, at)).toISOString(),
  requests: 2,
  failed: 1,
  delivered: 1,
  dead: 0,
  skipped: 0,
  latency: null,
  ...part,
});

describe("bars", () => {
  it("are hours for a day", () => expect(bars(Array.from({ length: 24 }, (_, at) => hour(at)))).toHaveLength(24));
  it("are days for a month, with all that was counted", () => {
    const shown = bars(Array.from({ length: 31 * 24 }, (_, at) => hour(at)));
    expect(shown.length).toBeGreaterThanOrEqual(31);
    expect(shown.length).toBeLessThanOrEqual(32);
    expect(shown.reduce((sum, bar) => sum + bar.requests, 0)).toBe(31 * 24 * 2);
  });
  it("show the slowest hour of a day", () => {
    const slow = { p50_ms: 1, p95_ms: 2, p99_ms: 900 };
    const shown = bars(Array.from({ length: 400 }, (_, at) => hour(at, at === 30 ? { latency: slow } : {})));
    expect(shown.filter((bar) => bar.latency?.p99_ms === 900)).toHaveLength(1);
  });
  it("know when there is no share", () => {
    expect(success({ requests: 0, failed: 0 })).toBeNull();
    expect(success({ requests: 4, failed: 1 })).toBe(0.75);
  });
});
