// The browser's computation agrees with Node's, with the published vectors, and with what Relay's documents say.
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, it } from "vitest";

import {
  BadSecret,
  checkSignatures,
  fromBase64,
  isSigned,
  signatureParts,
  signedAt,
  standardKey,
  toBase64,
  toHex,
} from "./signature";

const body = '{"test": 2432232314}';
const id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const timestamp = "1614265330";
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

function request(headers: [string, string][], sent: string | null = body, isTruncated = false) {
  return { headers, body: sent, body_is_truncated: isTruncated };
}

/** The example of the Standard Webhooks specification. */
const published = request([
  ["Webhook-Id", id],
  ["Webhook-Timestamp", timestamp],
  ["Webhook-Signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
]);

describe("Standard Webhooks", () => {
  it("agrees with the published vector", async () => {
    const [check] = await checkSignatures(published, secret);
    expect(check).toMatchObject({ scheme: "standard", matches: true, content: `${id}.${timestamp}.${body}` });
    expect(check?.expected).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  it("sees a changed byte, another secret, another time", async () => {
    const changed = [
      checkSignatures({ ...published, body: `${body} ` }, secret),
      checkSignatures(published, "whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
      checkSignatures(
        {
          ...published,
          headers: published.headers.map(
            ([n, v]) => [n, n === "Webhook-Timestamp" ? "1614265331" : v] as [string, string],
          ),
        },
        secret,
      ),
    ];
    for (const one of await Promise.all(changed)) expect(one[0]?.matches).toBe(false);
  });

  it("finds its own among the signatures of an overlap", async () => {
    const headers = published.headers.map(
      ([n, v]) => [n, n === "Webhook-Signature" ? `v1,AAAA ${v}` : v] as [string, string],
    );
    expect((await checkSignatures({ ...published, headers }, secret))[0]?.matches).toBe(true);
  });

  it("keys by the base64 behind whsec_, or by plain bytes where it is none", () => {
    expect(toBase64(standardKey(secret).key)).toBe("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    expect(new TextDecoder().decode(standardKey("whsec_not base64!").key)).toBe("not base64!");
  });
});

describe("X-Deptex-Signature", () => {
  const ours = `whsec_${"0123456789abcdef".repeat(4)}`;
  const digest = createHmac("sha256", ours).update(body).digest("hex");

  it("is keyed by the whole secret, over the body alone", async () => {
    const [check] = await checkSignatures(request([["X-Deptex-Signature", `sha256=${digest}`]]), ours);
    expect(check).toMatchObject({
      scheme: "deptex",
      matches: true,
      content: body,
      hex: digest,
      expected: `sha256=${digest}`,
    });
  });

  it("is checked beside the other, each by itself", async () => {
    const checks = await checkSignatures(
      request([...published.headers, ["x-deptex-signature", `sha256=${digest}`]]),
      ours,
    );
    expect(checks.map((one) => [one.scheme, one.matches])).toEqual([
      ["standard", false],
      ["deptex", true],
    ]);
  });

  it("never shows the whole key", async () => {
    const [check] = await checkSignatures(request([["X-Deptex-Signature", "sha256=00"]]), ours);
    expect(check?.matches).toBe(false);
    expect(JSON.stringify(check)).not.toContain(toHex(new TextEncoder().encode(ours)));
    expect(JSON.stringify(check)).not.toContain(ours);
  });
});

describe("a key pair", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
  const content = Buffer.from(`${id}.${timestamp}.${body}`);
  const signed = request([
    ["webhook-id", id],
    ["webhook-timestamp", timestamp],
    ["webhook-signature", `v1a,${sign(null, content, privateKey).toString("base64")}`],
  ]);

  it("is verified with its public key", async () => {
    const pasted = `whpk_${raw.toString("base64")}`;
    expect(await checkSignatures(signed, pasted)).toMatchObject([{ scheme: "key_pair", matches: true, hex: null }]);
    expect((await checkSignatures({ ...signed, body: "{}" }, pasted))[0]?.matches).toBe(false);
  });

  it("says so when a shared secret is pasted, or no key", async () => {
    await expect(checkSignatures(signed, secret)).rejects.toThrow(/public key/);
    await expect(checkSignatures(signed, "whpk_AAAA")).rejects.toThrow(BadSecret);
    await expect(checkSignatures(published, `whpk_${raw.toString("base64")}`)).rejects.toThrow(/v1a/);
  });
});

describe("what cannot be verified", () => {
  it.each([
    [request(published.headers as [string, string][], null), secret, /not kept/],
    [request(published.headers as [string, string][], body, true), secret, /beginning/],
    [published, "  ", /Paste/],
  ])("is told", async (one, pasted, message) => {
    await expect(checkSignatures(one, pasted)).rejects.toThrow(message);
  });

  it("has no signed content where a part is missing", () => {
    const parts = signatureParts(request([["Content-Type", "application/json"]]));
    expect(parts.signedContent).toBeNull();
    expect(isSigned(parts)).toBe(false);
    expect(signedAt(parts)).toBeNull();
    expect(signedAt(signatureParts(published))?.toISOString()).toBe("2021-02-25T15:02:10.000Z");
  });
});

describe("base64", () => {
  it("is read with and without padding, and nothing else is", () => {
    expect(fromBase64("AQI=")).toEqual(new Uint8Array([1, 2]));
    expect(fromBase64("AQI")).toEqual(new Uint8Array([1, 2]));
    for (const wrong of ["", "A", "A-_B", "AQI =", "é"]) expect(fromBase64(wrong)).toBeNull();
  });
});
