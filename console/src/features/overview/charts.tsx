// The last 24 hours drawn: how much went out, and how fast.
import type { OverviewHour } from "@/api/shapes";
import { BarChart, LineChart } from "@/components/chart";
import { short, span } from "@/lib/format";

export function ThroughputChart({ hours }: { hours: readonly OverviewHour[] }) {
  return (
    <BarChart
      label="Deliveries per hour in the last 24 hours"
      labels={hours.map((one) => hourOf(one.hour))}
      format={short}
      series={[
        { name: "Delivered", colour: "good", values: hours.map((hour) => hour.delivered) },
        { name: "Failed requests", colour: "warn", values: hours.map((hour) => hour.failed) },
        { name: "Given up", colour: "bad", values: hours.map((hour) => hour.dead) },
        { name: "Skipped", colour: "idle", values: hours.map((hour) => hour.skipped) },
      ]}
    />
  );
}

export function LatencyChart({ hours }: { hours: readonly OverviewHour[] }) {
  return (
    <LineChart
      isLogarithmic
      label="Latency per hour in the last 24 hours"
      labels={hours.map((one) => hourOf(one.hour))}
      format={(value) => span(value)}
      series={[
        { name: "50 of 100 within", colour: "good", values: hours.map((hour) => hour.latency?.p50_ms ?? null) },
        { name: "95", colour: "accent", values: hours.map((hour) => hour.latency?.p95_ms ?? null) },
        { name: "99", colour: "bad", values: hours.map((hour) => hour.latency?.p99_ms ?? null) },
      ]}
    />
  );
}

/** The day is known: they are the last 24 hours. */
function hourOf(at: string): string {
  return new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}
