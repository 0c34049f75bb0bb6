// The types are those of the API's document: whoever changed one has generated the other (`npm run types`).
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";

it("schema.d.ts is what the document says", () => {
  const cwd = join(import.meta.dirname, "../..");
  expect(() => execFileSync("npm", ["run", "--silent", "types", "--", "--check"], { cwd, stdio: "pipe" })).not.toThrow();
}, 120_000);
