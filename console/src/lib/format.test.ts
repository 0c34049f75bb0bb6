// Numbers, spans and instants read as people say them.
import { describe, expect, it } from "vitest";

import { atLeast, count, percent, plural, relative, span } from "./format";

describe("format", () => {
  it("spans", () => {
    const table: [number | null, string][] = [
      [null, "–"], [0, "0 ms"], [0.4, "< 1 ms"], [850, "850 ms"], [1_240, "1.2 s"], [9_960, "10 s"], [59_600, "1 min"],
      [185_000, "3 min 5 s"], [7_800_000, "2 h 10 min"], [356_400_000, "4 d 3 h"],
    ];
    for (const [given, expected] of table) expect(span(given)).toBe(expected);
  });
  it("shares are never rounded to all or nothing", () => {
    const table: [number | null, string][] = [[null, "–"], [0, "0 %"], [0.0001, "< 0.1 %"], [0.5, "50 %"], [0.99999, "99.9 %"], [1, "100 %"]];
    for (const [given, expected] of table) expect(percent(given)).toBe(expected);
  });
  it("instants", () => {
    const now = Date.UTC(2026, 0, 1);
    expect(relative(now - 2_000, now)).toBe("just now");
    expect(relative(now - 3_700_000, now)).toBe("1 h ago");
    expect(relative(now + 90_000, now)).toBe("in 1 min");
  });
  it("counts", () => {
    expect(count(12345)).toBe("12,345");
    expect(atLeast({ count: 10_000, is_more: true })).toBe("10,000+");
    expect(plural(1, "delivery", "deliveries")).toBe("1 delivery");
    expect(plural(0, "delivery", "deliveries")).toBe("0 deliveries");
  });
});
