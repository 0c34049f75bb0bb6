// Where an attempt's time went: the request as a bar of its parts, and what came before it in words.
import { classes } from "@/lib/classes";
import { span } from "@/lib/format";
import { requestTime, timingParts, type Part, type PartName, type Times } from "@/lib/timing";

const COLOURS: Record<PartName, string> = {
  queue: "",
  pace: "",
  connect: "bg-warn-mark",
  send: "bg-info-mark",
  wait: "bg-accent",
  read: "bg-good-mark",
};

export function TimingBar({ times, className }: { times: Times; className?: string }) {
  const parts = timingParts(times).filter((part) => part.share > 0);
  const words = parts.map((part) => `${part.label.toLowerCase()} ${span(part.milliseconds)}`).join(", ");
  return (
    <span role="img" aria-label={`Time: ${words || "none"}`} title={words} className={classes("flex h-1.5 overflow-hidden rounded-full bg-raised", className)}>
      {parts.map((part) => (
        <span key={part.name} className={COLOURS[part.name]} style={{ width: `${part.share}%` }} />
      ))}
    </span>
  );
}

export function TimingLegend({ times }: { times: Times }) {
  const parts = timingParts(times);
  const before = parts.filter((part) => !part.isRequest);
  return (
    <div className="flex flex-wrap items-end gap-x-8 gap-y-3">
      <dl className="flex gap-6 text-xs">
        {before.map((part) => (
          <Value key={part.name} part={part} />
        ))}
      </dl>
      <div className="min-w-60 flex-1">
        <TimingBar times={times} className="h-2.5" />
        <dl className="mt-2 flex flex-wrap justify-between gap-x-5 gap-y-1.5 text-xs">
          {parts.filter((part) => part.isRequest).map((part) => (
            <Value key={part.name} part={part} />
          ))}
        </dl>
        <p className="sr-only">The request took {span(requestTime(parts))}.</p>
      </div>
    </div>
  );
}

function Value({ part }: { part: Part }) {
  const isAbsent = part.milliseconds === null;
  return (
    <div title={part.about}>
      <dt className="flex items-center gap-1.5 text-muted">
        {part.isRequest && <span aria-hidden className={classes("size-2 rounded-sm", COLOURS[part.name])} />}
        {part.label}
      </dt>
      <dd className={classes("tabular font-medium", part.isRequest && "pl-3.5")}>{isAbsent ? (part.name === "connect" ? "reused" : "–") : span(part.milliseconds)}</dd>
    </div>
  );
}
