// The periods that a list can be narrowed to: by name, or from and to.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The ranges that a list offers. What the URL holds is the name, so that a link stays "the last hour". */
export const RANGES = [
  { name: "15m", label: "Last 15 minutes", milliseconds: 15 * MINUTE },
  { name: "1h", label: "Last hour", milliseconds: HOUR },
  { name: "6h", label: "Last 6 hours", milliseconds: 6 * HOUR },
  { name: "24h", label: "Last 24 hours", milliseconds: DAY },
  { name: "7d", label: "Last 7 days", milliseconds: 7 * DAY },
  { name: "30d", label: "Last 30 days", milliseconds: 30 * DAY },
] as const;

export type RangeName = (typeof RANGES)[number]["name"];

/** A period: by name, or from and to. */
export interface Period {
  range?: RangeName | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

export function isRangeName(text: string): text is RangeName {
  return RANGES.some((range) => range.name === text);
}

/** The period's bounds at this moment. */
export function bounds(period: Period, now: number): { since?: string; until?: string } {
  const range = RANGES.find((one) => one.name === period.range);
  if (range) return { since: new Date(now - range.milliseconds).toISOString() };
  const out: { since?: string; until?: string } = {};
  if (period.since) out.since = period.since;
  if (period.until) out.until = period.until;
  return out;
}

/** The period in words, for a button. */
export function periodLabel(period: Period): string {
  const range = RANGES.find((one) => one.name === period.range);
  if (range) return range.label;
  if (period.since && period.until) return `${short(period.since)} – ${short(period.until)}`;
  if (period.since) return `Since ${short(period.since)}`;
  if (period.until) return `Before ${short(period.until)}`;
  return "Any time";
}

const SHORT = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hour12: false,
});

function short(at: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? at : SHORT.format(date);
}

/** What a `datetime-local` field takes, in the reader's time zone; nothing for nothing. */
export function toLocalField(at: string | undefined): string {
  if (!at) return "";
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  const pad = (n: number) => String(n).padStart(2, "0");
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

/** The instant that a `datetime-local` field names; nothing where it is empty or half typed. */
export function fromLocalField(text: string): string | undefined {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}/.test(text)) return undefined;
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
