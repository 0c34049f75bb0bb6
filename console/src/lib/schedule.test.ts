// Waits are read as they are written.
import { describe, expect, it } from "vitest";

import { DEFAULT_SCHEDULE, readSchedule, writeSchedule } from "./schedule";

describe("retry schedules", () => {
  it("reads units, and seconds without one", () => {
    expect(readSchedule("5, 30 s, 2min, 1 h\n3 d")).toEqual({ waits: [5, 30, 120, 3600, 259200] });
  });
  it("reads back what it writes", () => {
    expect(readSchedule(writeSchedule(DEFAULT_SCHEDULE))).toEqual({ waits: DEFAULT_SCHEDULE });
    expect(writeSchedule([90, 120])).toBe("90 s, 2 min");
  });
  it("takes an empty one as a single attempt", () => expect(readSchedule("  ")).toEqual({ waits: [] }));
  for (const wrong of ["soon", "5 weeks", "-5", "8 d", "0", "1.5 h", Array(21).fill("1").join(",")]) {
    it(`says what is wrong with ${wrong.slice(0, 12)}`, () => expect(readSchedule(wrong)).toHaveProperty("mistake"));
  }
});
