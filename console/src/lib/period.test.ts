// The ranges that a list offers, and instants as a field of the browser writes them.
import { describe, expect, it } from "vitest";

import { bounds, fromLocalField, isRangeName, periodLabel, RANGES, toLocalField } from "./period";

const now = Date.parse("2026-11-23T12:00:00Z");
const ago = (milliseconds: number) => new Date(now - milliseconds).toISOString();

describe("a period", () => {
  it("by name ends now, whenever it is asked", () => {
    expect(bounds({ range: "1h" }, now)).toEqual({ since: "2026-11-23T11:00:00.000Z" });
    expect(bounds({ range: "1h" }, now + 1_000).since).toBe("2026-11-23T11:00:01.000Z");
  });

  it("by name goes before bounds that were left over", () => {
    expect(bounds({ range: "15m", since: ago(1), until: ago(0) }, now)).toEqual({ since: ago(15 * 60_000) });
  });

  it("of one's own has the bounds that are set", () => {
    expect(bounds({}, now)).toEqual({});
    expect(bounds({ until: ago(0) }, now)).toEqual({ until: ago(0) });
  });

  it("has a label", () => {
    expect(periodLabel({})).toBe("Any time");
    expect(periodLabel({ range: "24h" })).toBe("Last 24 hours");
    expect(periodLabel({ since: ago(0) })).toMatch(/^Since 23 Nov/);
    expect(periodLabel({ until: ago(0) })).toMatch(/^Before 23 Nov/);
    expect(periodLabel({ since: ago(5), until: ago(0) })).toContain(" – ");
  });

  it("is known by each of its names and no other", () => {
    expect(RANGES.every((range) => isRangeName(range.name))).toBe(true);
    expect(isRangeName("2h")).toBe(false);
    expect(isRangeName("")).toBe(false);
  });
});

describe("a field of date and time", () => {
  it("gives back the minute that it was given, in any time zone", () => {
    const at = "2026-11-23T12:34:00.000Z";
    expect(fromLocalField(toLocalField(at))).toBe(at);
  });

  it("is empty for nothing, and nothing when empty or half typed", () => {
    expect(toLocalField(undefined)).toBe("");
    expect(toLocalField("soon")).toBe("");
    expect(fromLocalField("")).toBeUndefined();
    expect(fromLocalField("2026-")).toBeUndefined();
  });
});
