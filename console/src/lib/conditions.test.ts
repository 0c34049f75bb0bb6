// Conditions survive the way into a form and back, and what does not fit a form is left as it is.
import { describe, expect, it } from "vitest";

import { flatten, unflatten } from "./conditions";

describe("conditions in a form", () => {
  const kept: unknown[] = [
    { field: "severity", at_least: "high" },
    { any: [{ field: "data.kev", eq: true }, { field: "data.score", gt: 9.5 }] },
    { all: [{ field: "project_id", in: ["a", "b"] }, { field: "data.package", exists: false }] },
    { all: [{ field: "data.version", eq: "7" }, { field: "data.flag", eq: "true" }] },
    { all: [{ field: "data.name", in: ["1", 1, true, "x y"] }, { field: "source", starts_with: "12" }] },
    { all: [{ field: "data.quoted", eq: '"x"' }, { field: "data.none", exists: true }] },
  ];
  for (const condition of kept) {
    it(`keeps ${JSON.stringify(condition)}`, () => {
      const flat = flatten(condition);
      expect(flat).not.toBeNull();
      expect(unflatten(flat!)).toEqual(condition);
    });
  }

  it("is empty for none, and none for empty", () => {
    expect(flatten(null)).toEqual({ mode: "all", tests: [] });
    expect(unflatten({ mode: "any", tests: [] })).toBeNull();
  });

  for (const deeper of [
    { not: { field: "severity", eq: "low" } },
    { all: [{ any: [] }] },
    { field: "x", eq: 1, ne: 2 },
    { field: "x", eq: { deep: true } },
    { field: "x", unknown: 1 },
    [],
    "text",
  ]) {
    it(`leaves ${JSON.stringify(deeper)} to JSON`, () => expect(flatten(deeper)).toBeNull());
  }
});
