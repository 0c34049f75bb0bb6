// Numbers, spans and instants as people read them.

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** `12,345`; a dash for nothing. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : whole.format(value);
}

/** `12.3K`, for tight places. */
export function short(value: number): string {
  return compact.format(value);
}

/** A count that stops somewhere: `10,000+`. */
export function atLeast(found: { count: number; is_more: boolean }): string {
  return count(found.count) + (found.is_more ? "+" : "");
}

/** `99.2 %`; never rounded up to 100 or down to 0. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return "–";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  const shown = share < 1 ? Math.min(Math.round(share * 1000) / 10, 99.9) : 100;
  return `${shown} %`;
}

/** `850 ms`, `1.2 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`. */
export function span(milliseconds: number | null | undefined): string {
  if (milliseconds === null || milliseconds === undefined) return "–";
  if (milliseconds < 1) return milliseconds === 0 ? "0 ms" : "< 1 ms";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 9.95) return `${trimmed(seconds)} s`;
  const units: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const rounded = Math.round(seconds);
  const at = units.findIndex(([size]) => rounded >= size);
  const [size, name] = units[at]!;
  const next = units[at + 1];
  const first = `${Math.floor(rounded / size)} ${name}`;
  const rest = next ? Math.floor((rounded % size) / next[0]) : 0;
  return rest > 0 ? `${first} ${rest} ${next![1]}` : first;
}

function trimmed(value: number): string {
  return (Math.round(value * 10) / 10).toString();
}

/** `just now`, `5 min ago`, `in 2 h`. */
export function relative(instant: string | number | Date, now: number = Date.now()): string {
  const distance = new Date(instant).getTime() - now;
  const size = Math.abs(distance);
  if (size < 5_000) return "just now";
  const text = span(coarse(size));
  return distance < 0 ? `${text} ago` : `in ${text}`;
}

/** One unit is enough: `2 h`, not `2 h 10 min`. */
function coarse(milliseconds: number): number {
  for (const size of [86_400_000, 3_600_000, 60_000, 1000]) {
    if (milliseconds >= size) return Math.floor(milliseconds / size) * size;
  }
  return 0;
}

// Made once: to make one takes a hundred times as long as to use it, and a table has hundreds of instants.
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** `23 Nov 2026, 06:02:49`, in the reader's time zone. */
export function instant(value: string | number | Date): string {
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? "–" : moment.format(date);
}

/** `06:02`, or with its day where that is not today. */
export function clock(value: string | number | Date, now: number = Date.now()): string {
  const date = new Date(value);
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === new Date(now).toDateString()) return time;
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${time}`;
}

/** `1 delivery`, `2 deliveries`. */
export function plural(number: number, one: string, many: string = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}
