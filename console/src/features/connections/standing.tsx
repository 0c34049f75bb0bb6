// How a connection stands in one badge: paused and failing count before its status.
import { Badge, type Tone } from "@/components/badge";
import { Tip } from "@/components/tip";
import { relative } from "@/lib/format";
import { standingOf, type Standable } from "./standing-of";

const TONES: Record<ReturnType<typeof standingOf>["kind"], Tone> = {
  good: "good",
  paused: "warn",
  failing: "bad",
  held: "warn",
  error: "bad",
  suspended: "warn",
  removed: "idle",
  connecting: "info",
};

export function Standing({ connection }: { connection: Standable }) {
  const { kind, word, since } = standingOf(connection);
  const badge = (
    <Badge tone={TONES[kind]} dot>
      {word}
    </Badge>
  );
  const why = [connection.status_reason, since && `since ${relative(since)}`].filter(Boolean).join(", ");
  if (!why) return badge;
  return (
    <Tip text={why}>
      <span tabIndex={0} className="inline-flex rounded-full">
        {badge}
      </span>
    </Tip>
  );
}
