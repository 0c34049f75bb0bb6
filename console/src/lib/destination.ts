// Where a connection's events go, in words, from what lists show of it.

interface Shown {
  provider: string;
  destination?: string | null;
  metadata?: unknown;
}

/** What an admin chose at the provider; null where that is still to do. */
export function chosenOf(metadata: unknown): string | null {
  const chosen = (metadata as { destination?: { name?: unknown; id?: unknown } } | null)?.destination;
  const name = chosen?.name ?? chosen?.id;
  return typeof name === "string" && name ? name : null;
}

/** A channel, a project, an address; null where that is not chosen yet. */
export function destinationOf({ destination, metadata }: Shown): string | null {
  if (destination) return destination;
  const chosen = chosenOf(metadata);
  if (chosen) return chosen;
  const known = (metadata ?? {}) as Record<string, unknown>;
  for (const name of ["webhook_url", "channel"]) {
    const value = known[name];
    if (typeof value === "string" && value) return value;
  }
  return null;
}

/** Whether a connection is one of the customer's own webhooks. */
export function isCustom(provider: string): boolean {
  return provider.startsWith("custom_");
}

/** What a custom connection keeps as its picture. */
export function iconUrlOf(metadata: unknown): string | null {
  const url = (metadata as { icon_url?: unknown } | null)?.icon_url;
  return typeof url === "string" ? url : null;
}

/** An address without what nobody reads: `hooks.example.com/deptex`. */
export function shortAddress(url: string): string {
  try {
    const { host, pathname, search } = new URL(url);
    const path = pathname === "/" ? "" : pathname;
    return host + path + (search ? "?…" : "");
  } catch {
    return url;
  }
}
