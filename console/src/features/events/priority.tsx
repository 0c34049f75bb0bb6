// How urgent the core says that an event is.
import { Badge, type Tone } from "@/components/badge";
import { humanise } from "@/lib/text";

const TONES: Record<string, Tone> = { critical: "bad", high: "warn" };

export function Priority({ priority }: { priority: string }) {
  const tone = TONES[priority];
  if (!tone) return <span className="text-xs text-muted">{humanise(priority)}</span>;
  return <Badge tone={tone}>{humanise(priority)}</Badge>;
}
