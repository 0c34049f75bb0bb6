// Tokens are read without being trusted.
import { describe, expect, it } from "vitest";

import { readToken } from "./token";

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
