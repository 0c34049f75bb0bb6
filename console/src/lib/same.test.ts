// The order of keys does not matter, that of lists does.
import { expect, it } from "vitest";

import { same } from "./same";

it("compares JSON", () => {
  const alike: [unknown, unknown][] = [[null, null], [{ a: 1, b: [1, { c: 2 }] }, { b: [1, { c: 2 }], a: 1 }], [[], []]];
  const other: [unknown, unknown][] = [[null, {}], [[], {}], [[1, 2], [2, 1]], [{ a: undefined }, { b: undefined }], [{ a: 1 }, { a: 1, b: 2 }], ["1", 1]];
  for (const [a, b] of alike) expect(same(a, b)).toBe(true);
  for (const [a, b] of other) expect(same(a, b)).toBe(false);
});
