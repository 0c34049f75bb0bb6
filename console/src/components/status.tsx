// The states of connections, deliveries and replays, each with its colour and word in one place.
import { Badge, type Tone } from "./badge";

const CONNECTION: Record<string, [Tone, string]> = {
  connected: ["good", "Connected"],
  connecting: ["info", "Connecting"],
  error: ["bad", "Error"],
  suspended: ["warn", "Suspended"],
  disconnected: ["idle", "Removed"],
  paused: ["warn", "Paused"],
};
const DELIVERY: Record<string, [Tone, string]> = {
  delivered: ["good", "Delivered"],
  pending: ["info", "Pending"],
  parked: ["warn", "Parked"],
  dead: ["bad", "Dead"],
  skipped: ["idle", "Skipped"],
  cancelled: ["idle", "Cancelled"],
  expired: ["idle", "Expired"],
};
const REPLAY: Record<string, [Tone, string]> = {
  counting: ["info", "Counting"],
  running: ["accent", "Running"],
  paused: ["warn", "Paused"],
  completed: ["good", "Completed"],
  cancelled: ["idle", "Cancelled"],
  failed: ["bad", "Failed"],
};
const OF = { connection: CONNECTION, delivery: DELIVERY, replay: REPLAY };

/** The colour that stands for a state; `idle` for one that is not known here. */
export function toneOf(kind: keyof typeof OF, status: string): Tone {
  return OF[kind][status]?.[0] ?? "idle";
}

export function Status({ of, status }: { of: keyof typeof OF; status: string }) {
  const [tone, word] = OF[of][status] ?? (["idle", status] as const);
  return (
    <Badge tone={tone} dot>
      {word}
    </Badge>
  );
}
