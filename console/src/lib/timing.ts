// Where the time of an attempt went, as parts of a bar.

export interface Times {
  queue_ms?: number | null | undefined;
  pace_ms?: number | null | undefined;
  connect_ms?: number | null | undefined;
  send_ms?: number | null | undefined;
  wait_ms?: number | null | undefined;
  read_ms?: number | null | undefined;
}

export type PartName = "queue" | "pace" | "connect" | "send" | "wait" | "read";

export interface Part {
  name: PartName;
  label: string;
  /** What happened in it. */
  about: string;
  /** Null where it did not happen: a reused connection is not opened. */
  milliseconds: number | null;
  /** Whether it is of the request itself; else it was spent before that, and may be hours. */
  isRequest: boolean;
  /** Of the request's bar, in percent; 0 of what came before. */
  share: number;
}

const PARTS: { name: PartName; label: string; about: string; isRequest: boolean }[] = [
  { name: "queue", label: "Queue", about: "from when it was due until the attempt began", isRequest: false },
  { name: "pace", label: "Pace", about: "waiting for its turn at the provider", isRequest: false },
  { name: "connect", label: "Connect", about: "name, connection and TLS", isRequest: true },
  { name: "send", label: "Send", about: "until the connection had taken the request", isRequest: true },
  { name: "wait", label: "Wait", about: "until the head of the answer was here", isRequest: true },
  { name: "read", label: "Read", about: "until its body was here", isRequest: true },
];

export function timingParts(times: Times): Part[] {
  const known = PARTS.map((part) => ({ ...part, milliseconds: times[`${part.name}_ms`] ?? null }));
  const sizes = shares(known.map((part) => (part.isRequest ? (part.milliseconds ?? 0) : 0)));
  return known.map((part, at) => ({ ...part, share: sizes[at] ?? 0 }));
}

/** How long the request itself took. */
export function requestTime(parts: readonly Part[]): number {
  return parts.filter((part) => part.isRequest).reduce((sum, part) => sum + (part.milliseconds ?? 0), 0);
}

/** Shares of a whole in percent; a part that is there keeps at least `least`, taken from the largest. */
export function shares(values: readonly number[], least = 1): number[] {
  const total = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  if (total === 0) return values.map(() => 0);
  const out = values.map((value) => (value > 0 ? Math.max(least, (value / total) * 100) : 0));
  const excess = out.reduce((sum, value) => sum + value, 0) - 100;
  const largest = out.indexOf(Math.max(...out));
  return out.map((value, at) => (at === largest ? Math.max(least, value - excess) : value));
}
