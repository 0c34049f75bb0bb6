// Sizes are those of UTF-8, and a code that nobody explained still reads as words.
import { expect, it } from "vitest";

import { byteLength, bytes, humanise } from "./text";

it("counts bytes, not letters", () => {
  expect(byteLength("é€😀")).toBe(2 + 3 + 4);
  expect(bytes(1_023)).toBe("1023 B");
  expect(bytes(1_024)).toBe("1.0 KiB");
  expect(bytes(3 * 1024 * 1024)).toBe("3.0 MiB");
});

it("reads a code as words", () => {
  expect(humanise("ticket_already_gone")).toBe("Ticket already gone");
  expect(humanise("")).toBe("");
});
