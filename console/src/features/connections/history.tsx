// Everything that happened to a connection, and how it stood at any moment.
import { Bot, Clock, User } from "lucide-react";
import { useState, type FormEvent } from "react";

import { useHistory, type Connection } from "@/api/connections";
import { useOrganization } from "@/app/organization";
import { useSession } from "@/app/session";
import { Button } from "@/components/button";
import { Card } from "@/components/card";
import { Code } from "@/components/code";
import { Field } from "@/components/field";
import { Pagination } from "@/components/pagination";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { AsOf } from "./as-of";

/** `current` is how it stands now, to compare with; a removed connection stands in no way. */
export function History({ id, current }: { id: string; current: Connection | null }) {
  const { id: org } = useOrganization();
  const query = useHistory(org, id);
  const { claims } = useSession();
  const [at, setAt] = useState<string | null>(null);
  const [wanted, setWanted] = useState("");
  const look = (event: FormEvent) => {
    event.preventDefault();
    if (wanted) setAt(new Date(wanted).toISOString());
  };
  const form = (
    <form onSubmit={look} className="flex flex-wrap items-center gap-2">
      <Field label="How it stood at" isLabelHidden type="datetime-local" step={1} required value={wanted} onChange={(event) => setWanted(event.target.value)} />
      <Button type="submit" icon={<Clock className="size-3.5" aria-hidden />}>
        How it stood then
      </Button>
    </form>
  );
  return (
    <>
      <Card title="History" about="Kept for ever, also after a connection is removed." actions={form} isFlush>
        <Loaded query={query}>
          {(entries) =>
            entries.length === 0 ? (
              <EmptyState title="Nothing has happened yet" />
            ) : (
              <ol className="px-4 py-4">
                {entries.map((entry, at) => (
                  <li key={entry.version} className="relative flex gap-3 pb-5 last:pb-0">
                    {at < entries.length - 1 && <span aria-hidden className="absolute top-7 bottom-0 left-3.5 w-px bg-line" />}
                    <span className="z-10 grid size-7 shrink-0 place-items-center rounded-full border border-line bg-surface text-muted">
                      {entry.actor.kind === "user" ? <User className="size-3.5" aria-hidden /> : <Bot className="size-3.5" aria-hidden />}
                    </span>
                    <div className="min-w-0 flex-1 pt-0.5">
                      <p className="foreign text-sm">{entry.summary}</p>
                      <p className="mt-0.5 flex flex-wrap items-center gap-x-2 text-xs text-faint">
                        <Time at={entry.at} />
                        <span>·</span>
                        <span className="foreign" title={entry.actor.id ?? undefined}>
                          {who(entry.actor, claims?.userId ?? null)}
                        </span>
                        <span>·</span>
                        <span>version {entry.version}</span>
                      </p>
                      <div className="mt-1 flex flex-wrap gap-x-3">
                        <button type="button" className="rounded text-xs text-accent-ink hover:underline" onClick={() => setAt(entry.at)}>
                          How it stood then
                        </button>
                        <details className="text-xs text-muted [&[open]]:basis-full">
                          <summary className="rounded hover:text-ink">{entry.type}</summary>
                          <Code value={entry.data} label={`What the log keeps of version ${entry.version}`} className="mt-1.5" />
                        </details>
                      </div>
                    </div>
                  </li>
                ))}
              </ol>
            )
          }
        </Loaded>
        {query.data && query.data.length > 0 && <Pagination list={query} shown={query.data.length} noun="change" />}
      </Card>
      {at && <AsOf id={id} current={current} at={at} onClose={() => setAt(null)} />}
    </>
  );
}

function who(actor: { kind: string; id?: string | null; name?: string | null }, me: string | null): string {
  if (actor.kind !== "user") return "Deptex";
  if (actor.id && actor.id === me) return "You";
  return actor.name ?? `Person …${(actor.id ?? "").slice(-8)}`;
}
