// What is pasted into a shell does what it says and nothing else; a real shell judges.
import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";

import { curlCommand, hiddenHeaders, MASK, shellQuote } from "./curl";

/** The words that a shell makes of a command. */
function words(command: string, env: Record<string, string> = {}): string[] {
  const script = `print_words() { for word in "$@"; do printf '%s\\0' "$word"; done; }; ${command.replace(/^curl/, "print_words")}`;
  const out = execFileSync("sh", ["-c", script], { env: { PATH: process.env["PATH"] ?? "", ...env } }).toString();
  return out.split("\0").slice(0, -1);
}

const hostile = `it's "x" $HOME \`id\` $(id) \\ ! ; rm -rf / \n& | > < * ? # ~ é € 😀`;

describe("curlCommand", () => {
  it("sends exactly the bytes, whatever is in them", () => {
    const body = JSON.stringify({ text: hostile, at: "@file" });
    const request = {
      method: "POST",
      url: "https://a.test/hook?x=1&y='2'",
      headers: [["X-Team", hostile.replace("\n", " ")]],
      body,
    };
    const found = words(curlCommand(request));
    expect(found).toEqual([
      "-sS",
      "-i",
      "-X",
      "POST",
      "https://a.test/hook?x=1&y='2'",
      "-H",
      `X-Team: ${hostile.replace("\n", " ")}`,
      "--data-raw",
      body,
    ]);
  });

  it("leaves out what curl sets itself", () => {
    const headers = [
      ["Host", "a.test"],
      ["Content-Length", "2"],
      ["Content-Type", "application/json"],
    ];
    const command = curlCommand({ method: "POST", url: "https://a.test/", headers, body: "{}" });
    expect(command).not.toMatch(/host:|content-length/i);
    expect(command).toContain("Content-Type: application/json");
  });

  it("has no body where there was none", () => {
    expect(curlCommand({ method: "GET", url: "https://a.test/", headers: [], body: null })).not.toContain("--data");
  });

  it("makes hidden values variables, and the rest of their header cannot run", () => {
    const request = {
      method: "POST",
      url: "https://a.test/",
      headers: [
        ["Authorization", `Bearer ${MASK}`],
        ["X-Odd", `\`id\` $HOME "${MASK}"`],
      ],
      body: null,
    };
    const found = words(curlCommand(request), { AUTHORIZATION: "s3cret $(id)", X_ODD: "v" });
    expect(found).toContain("Authorization: Bearer s3cret $(id)");
    expect(found).toContain('X-Odd: `id` $HOME "v"');
    expect(hiddenHeaders(request)).toEqual(["Authorization", "X-Odd"]);
  });
});

describe("shellQuote", () => {
  it("leaves plain words plain, and quotes the empty one", () => {
    expect(shellQuote("https://a.test/hook")).toBe("https://a.test/hook");
    expect(shellQuote("")).toBe("''");
  });
});
