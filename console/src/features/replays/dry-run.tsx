// What a replay would do: how many deliveries, to which connections, and why they stand as they do.
import { CircleAlert } from "lucide-react";
import type { ReactNode } from "react";

import type { DryRun } from "@/api/shapes";
import { ProviderIcon } from "@/features/integrations/provider-icon";
import { count, plural } from "@/lib/format";
import { isStatus, reason, statusSentence } from "@/lib/words";
import { humanise } from "@/lib/text";

/** How many of them would really be sent, as far as it can be told. */
export function sendable(run: DryRun): number {
  return run.by_connection.filter((one) => one.can_replay).reduce((sum, one) => sum + one.count, 0);
}

export function DryRunView({ run }: { run: DryRun }) {
  const blocked = run.by_connection.filter((one) => !one.can_replay);
  return (
    <div className="space-y-4">
      <p role="status" className="text-sm">
        <span className="tabular text-2xl font-semibold tracking-tight">
          {count(run.total)}
          {!run.is_exact && "+"}
        </span>{" "}
        <span className="text-muted">{plural(run.total, "delivery matches", "deliveries match").replace(/^[\d,]+ /, "")}</span>
      </p>
      {run.too_old > 0 && <Note>{plural(run.too_old, "delivery is", "deliveries are")} left out: the events are no longer kept.</Note>}
      {blocked.length > 0 && <Note>
          {plural(blocked.length, "connection takes", "connections take")} nothing now: {blocked.length === 1 ? "its" : "their"} deliveries are left out.
        </Note>}
      {run.total > 0 && (
        <div className="grid gap-4 sm:grid-cols-2">
          <List title="By connection">
            {run.by_connection.map((one) => (
              <li key={one.connection_id} className="flex items-center gap-2 py-1.5">
                <ProviderIcon provider={one.provider} size="sm" />
                <span className="min-w-0 flex-1">
                  <bdi className="block truncate text-left" title={one.name}>
                    {one.name || "Removed connection"}
                  </bdi>
                  {!one.can_replay && <span className="block text-xs text-warn">{one.blocked_because ? reason(one.blocked_because).label : "Takes nothing now"}</span>}
                </span>
                <span className="tabular font-medium">{count(one.count)}</span>
              </li>
            ))}
          </List>
          <List title="By reason">
            {run.by_reason.map((one) => {
              const why = isStatus(one.reason) ? { label: humanise(one.reason), sentence: statusSentence(one.reason) } : reason(one.reason);
              return (
                <li key={one.reason} className="flex items-center gap-2 py-1.5">
                  <span className="min-w-0 flex-1 truncate" title={why.sentence}>
                    {why.label}
                  </span>
                  <span className="tabular font-medium">{count(one.count)}</span>
                </li>
              );
            })}
          </List>
        </div>
      )}
    </div>
  );
}

function Note({ children }: { children: ReactNode }) {
  return (
    <p className="flex items-start gap-2 rounded-lg bg-warn-soft px-3 py-2 text-sm text-warn">
      <CircleAlert className="mt-0.5 size-4 shrink-0" aria-hidden />
      <span>{children}</span>
    </p>
  );
}

function List({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <h3 className="text-xs font-medium text-muted">{title}</h3>
      <ul className="mt-1 max-h-56 divide-y divide-line overflow-y-auto text-sm">{children}</ul>
    </div>
  );
}
