// What a connection missed while it was off, right after it was switched on again: a way to have it sent after all.
import { History } from "lucide-react";

import type { Connection } from "@/api/connections";
import { useOrganization, useOrganizationPath } from "@/app/organization";
import { LinkButton } from "@/components/button";
import { Time } from "@/components/time";
import { atLeast } from "@/lib/format";

export function Missed({ connection, missed }: { connection: Connection; missed: NonNullable<Connection["missed"]> }) {
  const path = useOrganizationPath();
  const { mayManage } = useOrganization();
  if (missed.count === 0) return null;
  const replay = new URLSearchParams({ connection_id: connection.id, missed_since: missed.since });
  return (
    <div role="status" className="flex flex-wrap items-center gap-3 rounded-xl border border-info-mark/40 bg-info-soft px-4 py-3 text-sm text-info">
      <History className="size-4 shrink-0" aria-hidden />
      <p className="min-w-0 flex-1">
        <b className="font-semibold">{atLeast(missed)}</b> {missed.count === 1 ? "delivery was" : "deliveries were"} skipped while it was off, since <Time at={missed.since} isExact />.
      </p>
      {mayManage && (
        <LinkButton size="sm" to={path(`replays?new=1&${replay}`)}>
          Replay what it missed
        </LinkButton>
      )}
    </div>
  );
}
