// A replay that is being put together, and how far one under way has come.

import type { DeliveryFilter } from "./filters";
import { count, plural, span } from "./format";
import { bounds } from "./period";

/** What can be asked for, as `POST replays` takes it. */
export interface Selection {
  delivery_ids?: string[] | null;
  status?: string[] | null;
  connection_id?: string | null;
  provider?: string | null;
  event?: string | null;
  subject?: string | null;
  error_class?: string | null;
  since?: string | null;
  until?: string | null;
  failed_since?: string | null;
  missed_since?: string | null;
}

export type Configuration = "current" | "original";

export interface ReplayRequest {
  selection: Selection;
  configuration?: Configuration;
  rate_per_second?: number;
  reason?: string;
  dry_run?: boolean;
}

export type Mode = "failed" | "missed" | "filter";

/** The form, field by field as it is typed. */
export interface ReplayForm {
  mode: Mode;
  since: string | undefined;
  until: string | undefined;
  connection_id: string;
  provider: string;
  event: string;
  subject: string;
  error_class: string;
  status: string[];
  configuration: Configuration;
  rate: string;
  reason: string;
}

export const RATE_DEFAULT = 100;
export const RATE_MAX = 10_000;
export const IDS_MAX = 1_000;

/** Statuses that a replay by filter can take: what waits needs none. */
export const REPLAYABLE = ["dead", "skipped", "expired", "delivered", "parked"] as const;

export function emptyForm(now: number): ReplayForm {
  return {
    mode: "failed",
    since: new Date(now - 86_400_000).toISOString(),
    until: undefined,
    connection_id: "",
    provider: "",
    event: "",
    subject: "",
    error_class: "",
    status: ["dead"],
    configuration: "current",
    rate: String(RATE_DEFAULT),
    reason: "",
  };
}

/** A form begun by a link: `failed_since`, `missed_since`, or filters. */
export function formOf(params: URLSearchParams, now: number): ReplayForm {
  const form = emptyForm(now);
  const instant = (name: string) => {
    const at = Date.parse(params.get(name) ?? "");
    return Number.isNaN(at) ? undefined : new Date(at).toISOString();
  };
  for (const name of ["connection_id", "provider", "event", "subject", "error_class"] as const) {
    form[name] = params.get(name) ?? "";
  }
  form.until = instant("until");
  const failed = instant("failed_since");
  const missed = instant("missed_since");
  const status = params.getAll("status").filter((one) => (REPLAYABLE as readonly string[]).includes(one));
  if (failed) return { ...form, mode: "failed", since: failed };
  if (missed) return { ...form, mode: "missed", since: missed };
  if (status.length > 0 || params.has("since")) return { ...form, mode: "filter", status, since: instant("since") };
  return form;
}

/** What is wrong with a rate that was typed. */
export function rateMistake(text: string): string | undefined {
  const rate = Number(text);
  const isGood = /^\d+$/.test(text.trim()) && rate >= 1 && rate <= RATE_MAX;
  return isGood ? undefined : "A whole number from 1 to 10,000";
}

export type FormErrors = Partial<Record<"since" | "until" | "rate" | "status", string>>;

export function formErrors(form: ReplayForm): FormErrors {
  const errors: FormErrors = {};
  const rate = rateMistake(form.rate);
  if (rate) errors.rate = rate;
  if (form.mode !== "filter" && !form.since) errors.since = "Choose an instant";
  if (form.mode === "filter" && form.status.length === 0) errors.status = "Choose at least one status";
  if (form.since && form.until && form.since >= form.until) errors.until = "This is before the beginning";
  return errors;
}

export function requestOf(form: ReplayForm, dryRun: boolean): ReplayRequest {
  const request: ReplayRequest = {
    selection: selectionOf(form),
    configuration: form.configuration,
    rate_per_second: Number(form.rate),
  };
  const why = form.reason.trim();
  if (why !== "") request.reason = why;
  if (dryRun) request.dry_run = true;
  return request;
}

function selectionOf(form: ReplayForm): Selection {
  const selection: Selection = {};
  for (const name of ["connection_id", "provider", "event", "subject", "error_class"] as const) {
    const value = form[name].trim();
    if (value !== "") selection[name] = value;
  }
  if (form.until) selection.until = form.until;
  if (form.mode === "failed" && form.since) selection.failed_since = form.since;
  if (form.mode === "missed" && form.since) selection.missed_since = form.since;
  if (form.mode === "filter") {
    selection.status = [...form.status];
    if (form.since) selection.since = form.since;
  }
  return selection;
}

/** Filters of the list that a replay's selection does not know. */
export function notReplayable(filter: DeliveryFilter): string[] {
  const names: string[] = [];
  if (filter.external_id) names.push("external id");
  if (filter.event_id) names.push("event id");
  if (filter.class) names.push("class");
  return names;
}

/** What is sent again where no status is asked for: what did not arrive, as the API has it too. */
const NOT_ARRIVED = ["dead", "skipped", "expired"];

/** "All that match": the list's filter as a selection, its period fixed at this moment. What arrived is left alone unless it is asked for. */
export function selectionOfFilter(filter: DeliveryFilter, now: number): Selection {
  const selection: Selection = { ...bounds(filter, now), status: filter.status.length > 0 ? [...filter.status] : NOT_ARRIVED };
  for (const name of ["connection_id", "provider", "event", "subject", "error_class"] as const) {
    const value = filter[name];
    if (value) selection[name] = value;
  }
  return selection;
}

export interface Progress {
  status: string;
  total: number | null;
  considered: number;
  replayed: number;
  skipped: number;
  eta_seconds?: number | null;
}

/** How much is done, from 0 to 1; null while nobody knows how much there is. */
export function share(progress: Progress): number | null {
  if (progress.status === "completed") return 1;
  if (progress.total === null) return null;
  if (progress.total === 0) return 1;
  return Math.min(1, progress.considered / progress.total);
}

/** What is said of it, also to those who listen instead of looking. */
export function progressSentence(progress: Progress): string {
  const done = `${plural(progress.replayed, "delivery", "deliveries")} replayed`;
  const skipped = progress.skipped > 0 ? `, ${count(progress.skipped)} skipped` : "";
  switch (progress.status) {
    case "counting":
      return "Counting what matches";
    case "paused":
      return `Paused: ${done}${skipped}`;
    case "completed":
      return `Completed: ${done}${skipped}`;
    case "cancelled":
      return `Cancelled: ${done}${skipped}`;
    case "failed":
      return `Failed: ${done}${skipped}`;
    default: {
      const eta = progress.eta_seconds;
      const left = eta === null || eta === undefined ? "" : `, about ${span(eta * 1000)} left`;
      return `${done}${skipped}${left}`;
    }
  }
}

/** Said anew at each tenth, not at each step: whoever listens has more to do. */
export function milestone(progress: Progress): string {
  const done = share(progress);
  return `${progress.status} ${done === null ? "" : Math.floor(done * 10)}`;
}

export function isFinal(status: string): boolean {
  return status === "completed" || status === "cancelled" || status === "failed";
}

/** Whether more will become of it: it is not over, or what it made due is still on the way. */
export function isMoving({ status, still_waiting }: { status: string; still_waiting: number }): boolean {
  return !isFinal(status) || still_waiting > 0;
}

/** `replay` of `GET live`. */
export interface LiveReplay {
  id: string;
  status: string;
  done: number;
  total: number | null;
  replayed: number;
  delivered: number;
}

/** The part of a replay that the stream can change. */
interface Followed {
  status: string;
  total?: number | null;
  considered: number;
  replayed: number;
  skipped: number;
  delivered: number;
  still_waiting: number;
  rate_per_second: number;
  eta_seconds?: number | null;
}

/** The replay after the news; what they do not tell is reckoned from what they do. */
export function advanced<Row extends Followed>(row: Row, news: LiveReplay): Row {
  const { status, total, done, replayed, delivered } = news;
  const waiting = row.still_waiting + (replayed - row.replayed) - (delivered - row.delivered);
  const left = status === "running" && total !== null ? Math.max(0, total - done) : null;
  return {
    ...row,
    status,
    total,
    considered: done,
    replayed,
    skipped: done - replayed,
    delivered,
    still_waiting: Math.max(0, waiting),
    eta_seconds: left === null ? null : Math.ceil(left / row.rate_per_second),
  };
}

const NAMES: Record<keyof Selection, string> = {
  delivery_ids: "chosen deliveries",
  status: "status",
  connection_id: "connection",
  provider: "provider",
  event: "kind",
  subject: "subject",
  error_class: "error",
  since: "from",
  until: "until",
  failed_since: "failed since",
  missed_since: "missed since",
};

/** A selection as short terms: `status: dead, expired`. */
export function selectionTerms(selection: Selection): { name: string; value: string; isInstant: boolean }[] {
  return (Object.keys(NAMES) as (keyof Selection)[]).flatMap((key) => {
    const value = selection[key];
    if (value === undefined || value === null || value.length === 0) return [];
    if (key === "delivery_ids") return [{ name: NAMES[key], value: String(value.length), isInstant: false }];
    const isInstant = key.endsWith("since") || key === "until";
    return [{ name: NAMES[key], value: Array.isArray(value) ? value.join(", ") : value, isInstant }];
  });
}
