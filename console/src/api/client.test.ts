// Addresses are put together so that no value can leave its place, and refusals say what the API said.
import { describe, expect, it } from "vitest";

import { fill, search } from "./client";
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
