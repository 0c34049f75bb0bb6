// A request's signatures, step by step. The secret is used here, in the browser, and goes nowhere.

export interface SignedRequest {
  headers: readonly (readonly [string, string])[] | readonly string[][];
  body: string | null;
  body_is_truncated: boolean;
}

export type Scheme = "deptex" | "standard" | "key_pair";

/** What a receiver checks, as far as it can be told without the secret. */
export interface SignatureParts {
  /** `X-Deptex-Signature`, if it was sent. */
  deptex: string | null;
  /** `webhook-id`. */
  id: string | null;
  /** `webhook-timestamp`, in seconds. */
  timestamp: string | null;
  /** The values of `webhook-signature`, with their version. */
  standard: { version: string; value: string }[];
  /** `id.timestamp.body`, or null where a part is missing. */
  signedContent: string | null;
}

/** One computed signature, and whether it is among those that were sent. */
export interface Check {
  scheme: Scheme;
  /** How the key comes from what was pasted. */
  keyNote: string;
  /** The key's bytes in hexadecimal, its middle hidden. */
  keyShown: string;
  /** What is signed: `body` or `id.timestamp.body`. */
  content: string;
  /** The result in hexadecimal; null for a key pair, which can verify and not sign. */
  hex: string | null;
  /** The result in base64. */
  base64: string | null;
  /** As it stands in the header. */
  expected: string | null;
  /** What was sent. */
  sent: string[];
  matches: boolean;
}

export function header(request: SignedRequest, name: string): string | null {
  const found = request.headers.find(([one = ""]) => one.toLowerCase() === name);
  return found?.[1] ?? null;
}

export function signatureParts(request: SignedRequest): SignatureParts {
  const id = header(request, "webhook-id");
  const timestamp = header(request, "webhook-timestamp");
  const standard = (header(request, "webhook-signature") ?? "")
    .split(" ")
    .filter((one) => one.includes(","))
    .map((one) => {
      const comma = one.indexOf(",");
      return { version: one.slice(0, comma), value: one.slice(comma + 1) };
    });
  const isWhole = id !== null && timestamp !== null && request.body !== null;
  return {
    deptex: header(request, "x-deptex-signature"),
    id,
    timestamp,
    standard,
    signedContent: isWhole ? `${id}.${timestamp}.${request.body}` : null,
  };
}

export function isSigned(parts: SignatureParts): boolean {
  return parts.deptex !== null || parts.standard.length > 0;
}

/** What was pasted is of no use: a sentence that can be shown. */
export class BadSecret extends Error {}

/** Browsers do cryptography on secure pages only. */
export function canCompute(): boolean {
  return typeof crypto !== "undefined" && crypto.subtle !== undefined;
}

/** Computes what the pasted secret (`whsec_…`) or public key (`whpk_…`) can, and compares. */
export async function checkSignatures(request: SignedRequest, pasted: string): Promise<Check[]> {
  const secret = pasted.trim();
  if (secret === "") throw new BadSecret("Paste the secret of the connection.");
  if (request.body === null) throw new BadSecret("The body of this request is not kept, so it cannot be verified.");
  if (request.body_is_truncated)
    throw new BadSecret("Only the beginning of this body is kept, so it cannot be verified.");
  const parts = signatureParts(request);
  if (secret.startsWith("whpk_")) return [await checkKeyPair(parts, secret)];
  const checks: Check[] = [];
  if (parts.standard.some((one) => one.version === "v1")) checks.push(await checkStandard(parts, secret));
  if (parts.deptex !== null) checks.push(await checkDeptex(parts, request.body, secret));
  if (checks.length === 0) throw new BadSecret("This request was signed by a key pair: paste its public key (whpk_…).");
  return checks;
}

async function checkStandard(parts: SignatureParts, secret: string): Promise<Check> {
  const { key, note } = standardKey(secret);
  const content = parts.signedContent ?? "";
  const mac = await hmac(key, utf8(content));
  const expected = `v1,${toBase64(mac)}`;
  const sent = parts.standard.map((one) => `${one.version},${one.value}`);
  return {
    scheme: "standard",
    keyNote: note,
    keyShown: hiddenHex(key),
    content,
    hex: toHex(mac),
    base64: toBase64(mac),
    expected,
    sent,
    matches: sent.includes(expected),
  };
}

async function checkDeptex(parts: SignatureParts, body: string, secret: string): Promise<Check> {
  const key = utf8(secret);
  const mac = await hmac(key, utf8(body));
  const expected = `sha256=${toHex(mac)}`;
  return {
    scheme: "deptex",
    keyNote: "the whole text of the secret, its whsec_ included, as UTF-8",
    keyShown: hiddenHex(key),
    content: body,
    hex: toHex(mac),
    base64: toBase64(mac),
    expected,
    sent: parts.deptex === null ? [] : [parts.deptex],
    matches: parts.deptex === expected,
  };
}

async function checkKeyPair(parts: SignatureParts, publicKey: string): Promise<Check> {
  const raw = fromBase64(publicKey.slice("whpk_".length));
  if (raw?.length !== 32) throw new BadSecret("A public key is whpk_ and 32 bytes in base64.");
  const content = parts.signedContent ?? "";
  const sent = parts.standard.filter((one) => one.version === "v1a");
  if (sent.length === 0) throw new BadSecret("This request has no signature of a key pair (v1a).");
  const key = await importPublicKey(raw);
  let matches = false;
  for (const one of sent) {
    const signature = fromBase64(one.value);
    if (signature && (await crypto.subtle.verify("Ed25519", key, signature, utf8(content)))) matches = true;
  }
  return {
    scheme: "key_pair",
    keyNote: "the base64 behind whpk_: 32 bytes, which can verify and not sign",
    keyShown: toHex(raw),
    content,
    hex: null,
    base64: null,
    expected: null,
    sent: sent.map((one) => `v1a,${one.value}`),
    matches,
  };
}

async function importPublicKey(raw: Bytes): Promise<CryptoKey> {
  try {
    return await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  } catch {
    throw new BadSecret("This browser cannot verify Ed25519 signatures.");
  }
}

/** Standard Webhooks keys by what the base64 behind `whsec_` says; what is not base64, by its bytes. */
export function standardKey(secret: string): { key: Bytes; note: string } {
  const text = secret.startsWith("whsec_") ? secret.slice("whsec_".length) : secret;
  const decoded = fromBase64(text);
  if (decoded) return { key: decoded, note: "what follows whsec_, read as base64" };
  return { key: utf8(text), note: "what follows whsec_; it is not base64, so its plain bytes" };
}

type Bytes = Uint8Array<ArrayBuffer>;

async function hmac(key: Bytes, content: Bytes): Promise<Bytes> {
  // An empty key is refused by browsers; HMAC pads keys with zeros, so one zero is the same key.
  const bytes = key.length === 0 ? new Uint8Array(1) : key;
  const imported = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, content));
}

function utf8(text: string): Bytes {
  return new TextEncoder().encode(text);
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** Base64 with or without its padding; null for anything else. */
export function fromBase64(text: string): Bytes | null {
  const bare = text.replace(/={1,2}$/, "");
  if (bare === "" || !/^[A-Za-z0-9+/]+$/.test(bare) || bare.length % 4 === 1) return null;
  return Uint8Array.from(atob(bare), (character) => character.charCodeAt(0));
}

function hiddenHex(key: Uint8Array): string {
  const hex = toHex(key);
  return hex.length <= 12 ? "•".repeat(hex.length) : `${hex.slice(0, 4)}…${hex.slice(-4)} (${key.length} bytes)`;
}

/** `webhook-timestamp` as an instant; null where it is none. */
export function signedAt(parts: SignatureParts): Date | null {
  return parts.timestamp !== null && /^\d{1,12}$/.test(parts.timestamp)
    ? new Date(Number(parts.timestamp) * 1000)
    : null;
}
