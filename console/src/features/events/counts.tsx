// What became of an event, in numbers: one for each state that its deliveries are in.
import { Link } from "react-router";

import type { DeliveryCounts } from "@/api/shapes";
import { useOrganizationPath } from "@/app/organization";
import { Dot } from "@/components/badge";
import { toneOf } from "@/components/status";
import { deliveriesLink } from "@/lib/filters";
import { count } from "@/lib/format";
import { STATUSES } from "@/lib/words";

export function Counts({ event, counts }: { event: string; counts: DeliveryCounts }) {
  const path = useOrganizationPath();
  const some = STATUSES.filter((status) => counts[status] > 0);
  if (some.length === 0) return <span className="text-xs text-faint">No connection wanted it</span>;
  return (
    <span className="flex flex-wrap items-center gap-x-3 gap-y-0.5">
      {some.map((status) => (
        <Link
          key={status}
          to={path(deliveriesLink({ status: [status], event_id: event }))}
          className="tabular inline-flex items-center gap-1.5 rounded text-xs hover:underline"
        >
          <Dot tone={toneOf("delivery", status)} />
          {count(counts[status])} {status}
        </Link>
      ))}
    </span>
  );
}
