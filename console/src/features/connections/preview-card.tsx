// Which of the organization's last events a subscription would have taken.
import { Check, Minus } from "lucide-react";
import { Link } from "react-router";

import { usePreview, type Connection } from "@/api/connections";
import { sentence } from "@/api/errors";
import { useOrganization, useOrganizationPath } from "@/app/organization";
import { Card } from "@/components/card";
import { EmptyState, Skeleton } from "@/components/states";
import { Time } from "@/components/time";
import { useSettled } from "@/components/use-settled";
import { classes } from "@/lib/classes";
import { plural } from "@/lib/format";

const WHY: Record<string, string> = {
  type: "another kind",
  conditions: "a condition",
  scope: "another team or project",
  its_own: "tells of this connection",
};

/** `wish` is the subscription as JSON, null while it cannot be tried. */
export function PreviewCard({ connection, wish }: { connection: Connection; wish: string | null }) {
  const { id: org } = useOrganization();
  const path = useOrganizationPath();
  const { data, error, isFetching } = usePreview(org, connection.id, useSettled(wish));
  // What was refused is told; what was last taken stays in view below it.
  const refused = error && <p role="alert" className="foreign border-b border-line bg-bad-soft px-4 py-2 text-xs text-bad">{sentence(error)}</p>;
  const about = data ? (
    <span role="status">
      {data.matching} of the last {plural(data.considered, "event")} would match
    </span>
  ) : (
    "Tried on the last events"
  );
  return (
    <Card title="Which events would match" about={about} isFlush>
      {refused}
      {!data ? (
        !error && <Skeleton lines={6} />
      ) : data.events.length === 0 ? (
        <EmptyState title="No events yet">As soon as there are some, they are tried here.</EmptyState>
      ) : (
          <ul tabIndex={0} aria-label="The last events" aria-busy={isFetching} className="max-h-[34rem] divide-y divide-line overflow-y-auto">
            {data.events.map((event) => (
              <li key={event.id} className={classes("flex items-center gap-3 px-4 py-2 text-sm", !event.matches && "text-muted")}>
                {event.matches ? <Check className="size-4 shrink-0 text-good" aria-label="Matches" /> : <Minus className="size-4 shrink-0 text-faint" aria-label="Does not match" />}
                <span className="min-w-0 flex-1">
                  <Link to={path(`events/${event.id}`)} className="foreign block truncate font-mono text-xs hover:underline">
                    {event.type}
                  </Link>
                  {event.subject && (
                    <span dir="auto" className="foreign block truncate text-xs text-faint">
                      {event.subject}
                    </span>
                  )}
                </span>
                {event.why && <span className="shrink-0 text-xs text-faint">{WHY[event.why] ?? event.why}</span>}
                <Time at={event.recorded_at} className="shrink-0 text-xs whitespace-nowrap text-faint" />
              </li>
            ))}
          </ul>
      )}
    </Card>
  );
}
