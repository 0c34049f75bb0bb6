// Hours of statistics as a chart shows them: by hour for a day or a week, by day for longer.

export interface Counted {
  requests: number;
  failed: number;
  delivered: number;
  dead: number;
  skipped: number;
  latency?: { p50_ms: number; p95_ms: number; p99_ms: number } | null;
}
export interface Hour extends Counted {
  hour: string;
}
export interface Bar extends Counted {
  label: string;
}

/** One bar for each hour; for more than a week one for each day, in the reader's time zone. */
export function bars(hours: Hour[]): Bar[] {
  if (hours.length <= 7 * 24 + 2) {
    const spansDays = hours.length > 25;
    return hours.map((hour) => ({ ...hour, label: label(hour.hour, spansDays) }));
  }
  const days = new Map<string, Bar>();
  for (const hour of hours) {
    const name = new Date(hour.hour).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    const day = days.get(name);
    days.set(name, day ? sum(day, hour) : { ...hour, label: name });
  }
  return [...days.values()];
}

function label(hour: string, spansDays: boolean): string {
  const date = new Date(hour);
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return spansDays ? `${date.toLocaleDateString("en-GB", { weekday: "short" })} ${time}` : time;
}

/** Percentiles cannot be added: the slowest hour stands for the day. */
function sum(day: Bar, hour: Hour): Bar {
  const slower = (hour.latency?.p99_ms ?? -1) > (day.latency?.p99_ms ?? -1) ? hour.latency : day.latency;
  return {
    label: day.label,
    requests: day.requests + hour.requests,
    failed: day.failed + hour.failed,
    delivered: day.delivered + hour.delivered,
    dead: day.dead + hour.dead,
    skipped: day.skipped + hour.skipped,
    latency: slower,
  };
}

/** The share of requests that went well; null where there were none. */
export function success({ requests, failed }: { requests: number; failed: number }): number | null {
  return requests === 0 ? null : (requests - failed) / requests;
}
