// What cannot be seen is shown; what can is left alone.
import { expect, it } from "vitest";

import { visible } from "./unseen";

it("shows controls, marks of direction and zero widths as their codes", () => {
  expect(visible("a\u202eexe.txt")).toBe("a\\u202eexe.txt");
  expect(visible("\u001b[31mred\u0000")).toBe("\\u001b[31mred\\u0000");
  expect(visible("zero\u200bwidth\ufeff")).toBe("zero\\u200bwidth\\ufeff");
});

it("leaves letters of every script, tabs and line breaks alone", () => {
  const text = "שלום\tتنبيه\r\nünïcode 😀 <b>";
  expect(visible(text)).toBe(text);
});
