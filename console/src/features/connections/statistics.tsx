// What became of a connection's deliveries: figures, bars by hour, and how long it took.
import { useState } from "react";

import { useStatistics } from "@/api/connections";
import { useOrganization } from "@/app/organization";
import { Card, Figure } from "@/components/card";
import { BarChart, LineChart } from "@/components/chart";
import { Loaded } from "@/components/states";
import { classes } from "@/lib/classes";
import { count, percent, short, span } from "@/lib/format";
import { bars, success } from "@/lib/hours";

const RANGES = [
  { days: 1, label: "24 hours" },
  { days: 7, label: "7 days" },
  { days: 30, label: "30 days" },
];

export function Statistics({ id }: { id: string }) {
  const { id: org } = useOrganization();
  const [days, setDays] = useState(1);
  const query = useStatistics(org, id, days);
  return (
    <div className="space-y-4">
      <div role="group" aria-label="Time" className="inline-flex rounded-lg border border-line bg-surface p-0.5 shadow-card">
        {RANGES.map((range) => (
          <button
            key={range.days}
            type="button"
            aria-pressed={range.days === days}
            onClick={() => setDays(range.days)}
            className={classes("rounded-md px-2.5 py-1 text-xs font-medium", range.days === days ? "bg-accent-soft text-accent-ink" : "text-muted hover:text-ink")}
          >
            {range.label}
          </button>
        ))}
      </div>
      <Loaded query={query}>
        {({ hours, total }) => {
          const shown = bars(hours);
          const labels = shown.map((bar) => bar.label);
          const share = success(total);
          return (
            <>
              <Card>
                <dl className="grid grid-cols-2 gap-4 sm:grid-cols-3 lg:grid-cols-6">
                  <Figure label="Delivered" value={count(total.delivered)} />
                  <Figure label="Requests that went well" value={percent(share)} tone={share !== null && share < 0.9 ? "bad" : undefined} more={`of ${count(total.requests)}`} />
                  <Figure label="Given up on" value={count(total.dead)} tone={total.dead > 0 ? "bad" : undefined} />
                  <Figure label="Skipped" value={count(total.skipped)} tone={total.skipped > 0 ? "warn" : undefined} />
                  <Figure label="Median time" value={span(total.latency?.p50_ms)} />
                  <Figure label="99 of 100 within" value={span(total.latency?.p99_ms)} />
                </dl>
              </Card>
              <div className="grid gap-4 xl:grid-cols-2">
                <Card title="Deliveries" about={days > 7 ? "By day" : "By hour"}>
                  <BarChart
                    label="Deliveries over time, by what became of them"
                    labels={labels}
                    format={short}
                    series={[
                      { name: "Delivered", colour: "good", values: shown.map((bar) => bar.delivered) },
                      { name: "Dead", colour: "bad", values: shown.map((bar) => bar.dead) },
                      { name: "Skipped", colour: "idle", values: shown.map((bar) => bar.skipped) },
                      { name: "Failed requests", colour: "warn", values: shown.map((bar) => bar.failed) },
                    ]}
                  />
                </Card>
                <Card title="From event to answer" about="Replays are left out">
                  <LineChart
                    label="Time from event to answer"
                    labels={labels}
                    format={span}
                    series={[
                      { name: "Half within", colour: "info", values: shown.map((bar) => bar.latency?.p50_ms ?? null) },
                      { name: "95 of 100", colour: "accent", values: shown.map((bar) => bar.latency?.p95_ms ?? null) },
                      { name: "99 of 100", colour: "warn", values: shown.map((bar) => bar.latency?.p99_ms ?? null) },
                    ]}
                  />
                </Card>
              </div>
            </>
          );
        }}
      </Loaded>
    </div>
  );
}
