// How the program serves the console: its policy, what browsers may keep, and whom it lends the demo session.
import { request } from "node:http";
import { gunzipSync } from "node:zlib";
import { describe, expect, inject, it } from "vitest";

interface Answer {
  status: number;
  headers: Record<string, string | undefined>;
  body: Buffer;
}

/** As it goes over the wire: fetch would not let the host be chosen, and would unpack. */
function ask(path: string, headers: Record<string, string> = {}): Promise<Answer> {
  const { hostname, port } = new URL(inject("started").url);
  return new Promise((done, failed) => {
    request({ host: hostname, port, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => done({ status: response.statusCode ?? 0, headers: response.headers as Answer["headers"], body: Buffer.concat(chunks) }));
    })
      .on("error", failed)
      .end();
  });
}

describe("the console's files", () => {
  it("are served under a policy without exceptions", async () => {
    for (const path of ["/console", "/console/", "/console/organizations/x/deliveries", "/console/theme.js"]) {
      const { status, headers } = await ask(path);
      expect(status).toBe(200);
      expect(headers["content-security-policy"]).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      );
      expect(headers["x-content-type-options"]).toBe("nosniff");
      expect(headers["x-frame-options"]).toBe("DENY");
      expect(headers["referrer-policy"]).toBe("no-referrer");
      expect(headers["cache-control"]).toBe("no-cache");
    }
  });

  it("are kept for ever where their name is their content, and asked about otherwise", async () => {
    const page = await ask("/console");
    const asset = /\/console\/assets\/[\w.-]+\.js/.exec(page.body.toString())?.[0] ?? "";
    expect((await ask(asset)).headers["cache-control"]).toBe("public, max-age=31536000, immutable");
    const again = await ask("/console", { "if-none-match": page.headers.etag ?? "" });
    expect([again.status, again.body.length]).toEqual([304, 0]);
  });

  it("come compressed to those who read that", async () => {
    const plain = await ask("/console");
    const gzip = await ask("/console", { "accept-encoding": "gzip" });
    const brotli = await ask("/console", { "accept-encoding": "gzip, deflate, br" });
    expect([plain, gzip, brotli].map(({ headers }) => headers["content-encoding"])).toEqual([undefined, "gzip", "br"]);
    expect(gunzipSync(gzip.body).equals(plain.body)).toBe(true);
    expect(new Set([plain, gzip, brotli].map(({ headers }) => headers.etag)).size).toBe(3);
    expect((await ask("/console", { "accept-encoding": "br;q=0" })).headers["content-encoding"]).toBeUndefined();
  });

  it("are all there is: neither other files nor assets that are gone", async () => {
    expect((await ask("/console/assets/index-gone.js")).status).toBe(404);
    for (const path of ["/console/../Cargo.toml", "/console/..%2f..%2fCargo.toml", "/console/%2e%2e/%2e%2e/etc/passwd", "/console/index.html.br"]) {
      const { status, body } = await ask(path);
      expect(status === 404 || body.toString().includes('<div id="root">')).toBe(true);
    }
  });
});

describe("the session of `relay dev`", () => {
  const { port } = new URL(inject("started").url);
  const table: [string, Record<string, string>, number][] = [
    ["a page of this machine", { host: `127.0.0.1:${port}`, "sec-fetch-site": "same-origin" }, 200],
    ["this machine by its other name", { host: `localhost:${port}` }, 200],
    ["a name that was made to point here", { host: `relay.evil.test:${port}`, "sec-fetch-site": "same-origin" }, 204],
    ["a page of another site", { host: `127.0.0.1:${port}`, "sec-fetch-site": "cross-site" }, 204],
    ["a page of another port", { host: `127.0.0.1:${port}`, origin: "http://127.0.0.1:3000", "sec-fetch-site": "same-site" }, 204],
  ];
  for (const [who, headers, status] of table) {
    it(`is ${status === 200 ? "lent" : "not lent"} to ${who}`, async () => {
      const answer = await ask("/console/session", headers);
      expect(answer.status).toBe(status);
      expect(answer.headers["cache-control"]).toBe("no-store");
      expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
      if (status === 204) expect(answer.body.length).toBe(0);
    });
  }
});
