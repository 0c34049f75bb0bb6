// The few numbers that say whether all is well.
import type { ReactNode } from "react";
import { Link } from "react-router";

import { useOrganizationPath } from "@/app/organization";
import type { Overview } from "@/api/shapes";
import { Figure } from "@/components/card";
import { Time } from "@/components/time";
import { deliveriesLink } from "@/lib/filters";
import { atLeast, count, percent, span } from "@/lib/format";

export function Figures({ overview }: { overview: Overview }) {
  const path = useOrganizationPath();
  const sum = (pick: (hour: Overview["hours"][number]) => number) => overview.hours.reduce((total, hour) => total + pick(hour), 0);
  const requests = sum((hour) => hour.requests);
  const failed = sum((hour) => hour.failed);
  const dead = sum((hour) => hour.dead);
  const latest = overview.hours.findLast((hour) => hour.latency)?.latency;
  const oldest = overview.waiting.oldest_due_at;
  const isLate = oldest ? Date.parse(overview.as_of) - Date.parse(oldest) > 60_000 : false;
  return (
    <div className="grid grid-cols-2 gap-px overflow-hidden rounded-xl border border-line bg-line shadow-card sm:grid-cols-3 xl:grid-cols-6">
      <Tile>
        <Figure
          label={<Title to={path(deliveriesLink({ status: ["pending"] }))}>Waiting now</Title>}
          value={atLeast(overview.waiting)}
          tone={isLate ? "warn" : undefined}
          more={oldest ? <>oldest due <Time at={oldest} /></> : "nothing is overdue"}
        />
      </Tile>
      <Tile>
        <Figure
          label={<Title to={path(deliveriesLink({ status: ["parked"] }))}>Parked</Title>}
          value={atLeast(overview.parked)}
          tone={overview.parked.count > 0 ? "warn" : undefined}
          more={overview.parked.count > 0 ? "a connection needs you" : "none waits for you"}
        />
      </Tile>
      <Tile>
        <Figure label={<Title to={path(deliveriesLink({ status: ["delivered"], range: "24h" }))}>Delivered</Title>} value={count(sum((hour) => hour.delivered))} more="in 24 hours" />
      </Tile>
      <Tile>
        <Figure label={<Title to={path(deliveriesLink({ status: ["dead"], range: "24h" }))}>Given up</Title>} value={count(dead)} tone={dead > 0 ? "bad" : undefined} more="can be replayed" />
      </Tile>
      <Tile>
        <Figure label="Success" value={requests === 0 ? "–" : percent((requests - failed) / requests)} more={requests === 0 ? "no requests" : `${count(failed)} of ${count(requests)} requests failed`} />
      </Tile>
      <Tile>
        <Figure label="99 of 100 within" value={latest ? span(latest.p99_ms) : "–"} more={latest ? `half within ${span(latest.p50_ms)}, last hour` : "no traffic"} />
      </Tile>
    </div>
  );
}

function Tile({ children }: { children: ReactNode }) {
  return <dl className="bg-surface px-4 py-3.5">{children}</dl>;
}

function Title({ to, children }: { to: string; children: ReactNode }) {
  return (
    <Link to={to} className="rounded underline decoration-line-strong/60 underline-offset-2 hover:text-ink hover:decoration-current">
      {children}
    </Link>
  );
}
