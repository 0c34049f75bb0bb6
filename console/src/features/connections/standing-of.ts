// What matters most of how a connection stands.

export interface Standable {
  status: string;
  status_reason?: string | null;
  paused: boolean;
  health?: { failing_since?: string | null; held_until?: string | null; breaker_open_until?: string | null } | null;
}

export interface StandingNow {
  kind: "good" | "paused" | "failing" | "held" | "error" | "suspended" | "removed" | "connecting";
  word: string;
  since: string | null;
}

export function standingOf({ status, paused, health }: Standable, now: number = Date.now()): StandingNow {
  const none = { since: null };
  if (status === "disconnected") return { kind: "removed", word: "Removed", ...none };
  if (status === "error") return { kind: "error", word: "Error", since: health?.failing_since ?? null };
  if (status === "suspended") return { kind: "suspended", word: "Suspended", ...none };
  if (status === "connecting") return { kind: "connecting", word: "Connecting", ...none };
  if (paused) return { kind: "paused", word: "Paused", ...none };
  if (health?.failing_since) return { kind: "failing", word: "Failing", since: health.failing_since };
  if (health?.held_until && Date.parse(health.held_until) > now) return { kind: "held", word: "Waiting", ...none };
  return { kind: "good", word: "Connected", ...none };
}
