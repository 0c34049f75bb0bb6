// Reads what a token says about its holder. The API verifies it; here it only decides what to show.

export interface Organization {
  id: string;
  /** As the token calls it, if it does. */
  name: string | null;
  mayManage: boolean;
}

export interface Claims {
  userId: string | null;
  email: string | null;
  /** In milliseconds. */
  expiresAt: number | null;
  organizations: Organization[];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a text is an id of an organization. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The claims of a token; null if it is none. */
export function readToken(token: string): Claims | null {
  const parts = token.trim().split(".");
  if (parts.length !== 3) return null;
  try {
    const claims: unknown = JSON.parse(decode(parts[1]!));
    if (typeof claims !== "object" || claims === null) return null;
    const { sub, email, exp, app_metadata } = claims as Record<string, unknown>;
    return {
      userId: typeof sub === "string" ? sub : null,
      email: typeof email === "string" ? email : null,
      expiresAt: typeof exp === "number" ? exp * 1000 : null,
      organizations: organizations(app_metadata),
    };
  } catch {
    return null;
  }
}

/** Whether a token holds for a while yet. */
export function isFresh(token: string, now: number): boolean {
  const expiresAt = readToken(token)?.expiresAt;
  return expiresAt !== undefined && (expiresAt === null || expiresAt > now + 10_000);
}

/** The first of the candidates that can take a refused token's place: a newer one of the same person, never somebody else's. */
export function renewalOf(refused: string, candidates: readonly (string | null | undefined)[], now: number): string | null {
  const user = readToken(refused)?.userId ?? null;
  if (user === null) return null;
  return candidates.find((token) => token && token !== refused && isFresh(token, now) && readToken(token)?.userId === user) ?? null;
}

function organizations(metadata: unknown): Organization[] {
  const given = (metadata as { organizations?: unknown } | null)?.organizations;
  if (typeof given !== "object" || given === null) return [];
  return Object.entries(given as Record<string, unknown>)
    .filter(([id]) => isUuid(id))
    .map(([id, value]) => {
      const { role, name, permissions } = (value ?? {}) as Record<string, unknown>;
      const manages = (permissions as { manage_integrations?: unknown } | undefined)?.manage_integrations;
      return { id, name: typeof name === "string" && name ? name : null, mayManage: role === "owner" || manages === true };
    });
}

function decode(part: string): string {
  const binary = atob(part.replace(/-/g, "+").replace(/_/g, "/"));
  return new TextDecoder().decode(Uint8Array.from(binary, (letter) => letter.charCodeAt(0)));
}
