// Addresses are put together so that no value can leave its place, and refusals say what the API said.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { credentials, fill, search, send } from "./client";
import { ApiError, refusal } from "./errors";

describe("addresses", () => {
  it("encode every value", () => expect(fill("/a/{org}/b/{id}", { org: "../x", id: "?y#z" })).toBe("/a/..%2Fx/b/%3Fy%23z"));
  it("need every value", () => expect(() => fill("/a/{org}")).toThrow());
  it("leave out what is not asked", () => {
    expect(search({ a: "", b: null, c: undefined })).toBe("");
    expect(search({ status: ["dead", "parked"], limit: 50, subject: "a&b" })).toBe("?status=dead&status=parked&limit=50&subject=a%26b");
  });
});

describe("refusals", () => {
  it("keep sentence, code and request", async () => {
    const headers = { "x-request-id": "r1", "retry-after": "3" };
    const error = await refusal(new Response('{"error":"No.","code":"forbidden"}', { status: 403, headers }));
    expect(error).toBeInstanceOf(ApiError);
    expect([error.message, error.code, error.status, error.requestId, error.retryAfter]).toEqual(["No.", "forbidden", 403, "r1", 3]);
  });
  it("have a sentence even where a proxy answered", async () => {
    const error = await refusal(new Response("<html>", { status: 502 }));
    expect(error.message).toContain("try again");
    expect(error.isTransient).toBe(true);
  });
});

describe("a refused token", () => {
  const tokens: (string | null)[] = [];
  const told: (string | null)[] = [];
  /** A server that knows the new token only; `meanwhile` happens while the first request is on its way. */
  const serve = (meanwhile: () => void) => {
    vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
      const token = new Headers(init.headers).get("authorization");
      tokens.push(token);
      if (tokens.length === 1) meanwhile();
      return Promise.resolve(new Response("{}", { status: token === "Bearer new" ? 200 : 401 }));
    });
  };
  beforeEach(() => {
    tokens.length = told.length = 0;
    credentials.token = "old";
    credentials.onUnauthorized = (refused) => void told.push(refused);
  });
  afterEach(() => vi.unstubAllGlobals());

  it("is told by its name", async () => {
    serve(() => {});
    await expect(send("/a", {})).rejects.toMatchObject({ status: 401 });
    expect([tokens, told]).toEqual([["Bearer old"], ["old"]]);
  });
  it("does not matter to what only reads, if there is a newer one by then", async () => {
    serve(() => (credentials.token = "new"));
    expect((await send("/a", {})).status).toBe(200);
    expect([tokens, told]).toEqual([["Bearer old", "Bearer new"], []]);
  });
  it("is not used again for what changes something", async () => {
    serve(() => (credentials.token = "new"));
    await expect(send("/a", { method: "POST" })).rejects.toMatchObject({ status: 401 });
    expect([tokens, told]).toEqual([["Bearer old"], ["old"]]);
  });
});
