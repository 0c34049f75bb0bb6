// Tokens are read without being trusted.
import { describe, expect, it } from "vitest";

import { isFresh, readToken, renewalOf } from "./token";

const encode = (claims: unknown) => `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;

describe("readToken", () => {
  it("finds organizations and who manages them", () => {
    const [a, b, c] = ["1", "2", "3"].map((digit) => `0000000${digit}-0000-4000-8000-000000000000`);
    const found = readToken(
      encode({
        email: "ü@example.com",
        exp: 10,
        app_metadata: { organizations: { [a!]: { role: "owner", name: "Ä" }, [b!]: { role: "member" }, [c!]: { role: "member", permissions: { manage_integrations: true } }, nonsense: {} } },
      }),
    );
    expect(found?.email).toBe("ü@example.com");
    expect(found?.expiresAt).toBe(10_000);
    expect(found?.organizations.map(({ name, mayManage }) => [name, mayManage])).toEqual([["Ä", true], [null, false], [null, true]]);
  });
  for (const bad of ["", "a.b", "a.b.c", `h.${btoa("null")}.s`, "a.b.c.d"]) {
    it(`takes ${JSON.stringify(bad)} for no token`, () => expect(readToken(bad)).toBeNull());
  }
  it("bears claims of any shape", () => {
    expect(readToken(encode({ app_metadata: { organizations: [1] } }))?.organizations).toEqual([]);
    expect(readToken(encode({ app_metadata: "x", email: 3, exp: "soon" }))).toEqual({ userId: null, email: null, expiresAt: null, organizations: [] });
  });
});

describe("renewalOf", () => {
  const NOW = 1_000_000_000;
  const token = (sub: string | null, seconds: number, more = {}) => encode({ ...(sub && { sub }), exp: NOW / 1_000 + seconds, ...more });
  const refused = token("ada", -1);

  it("takes the first that is fresh and of the same person", () => {
    const newer = token("ada", 3_600);
    expect(renewalOf(refused, [null, undefined, token("bob", 3_600), token("ada", 5), newer, token("ada", 9_000)], NOW)).toBe(newer);
  });

  it("takes neither the refused one again nor anybody else's", () => {
    const stillFresh = token("ada", 3_600);
    expect(renewalOf(stillFresh, [stillFresh], NOW)).toBeNull();
    expect(renewalOf(refused, [token("bob", 3_600)], NOW)).toBeNull();
    // Of nobody: then nobody can tell whose the next one is.
    expect(renewalOf(token(null, -1), [token(null, 3_600)], NOW)).toBeNull();
  });

  it("calls a token fresh for as long as it holds for some seconds more", () => {
    expect([isFresh(token("ada", 11), NOW), isFresh(token("ada", 9), NOW), isFresh(encode({ sub: "ada" }), NOW), isFresh("a.b", NOW)]).toEqual([true, false, true, false]);
  });
});
