// What the compiler cannot check: how files look, and what may not be in them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const LINES_MAX = 300;

const files = ["src", "e2e"].flatMap((directory) =>
  readdirSync(join(ROOT, directory), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.tsx?$/.test(path) && !path.endsWith("schema.d.ts") && path !== "tidy.test.ts")
    .map((path) => ({ path: join(directory, path), text: readFileSync(join(ROOT, directory, path), "utf8") })),
);

describe("every file", () => {
  it("begins with a sentence that says its idea", () => {
    const without = files.filter(({ text }) => !/^\/\/ .{8,}[.?]\n/.test(text));
    expect(without.map(({ path }) => path)).toEqual([]);
  });

  it(`has at most ${LINES_MAX} lines`, () => {
    const long = files.filter(({ text }) => text.split("\n").length > LINES_MAX + 1);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  it("writes no markup from texts, and runs none", () => {
    const forbidden = /dangerouslySet|\.innerHTML|document\.write|\beval\(|new Function|<style/;
    const wrong = files.filter(({ path, text }) => path.startsWith("src") && forbidden.test(text));
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  it("leads to other pages without telling them from where", () => {
    const blank = files.filter(({ text }) => /target="_blank"(?![^>]*noreferrer)/.test(text) && !/rel="[^"]*noreferrer/.test(text));
    expect(blank.map(({ path }) => path)).toEqual([]);
  });
});
