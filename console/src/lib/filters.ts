// Filters live in the URL: a link shows what its sender saw, and the back button goes back.

import { bounds, isRangeName, type Period } from "./period";

/** Which filters a list has: those with several values, and those with one. */
export interface FilterNames<Many extends string, One extends string> {
  many: readonly Many[];
  one: readonly One[];
}

export type Filter<Many extends string, One extends string> = { [name in Many]: string[] } & {
  [name in One]?: string | undefined;
} & Period;

export const DELIVERY_FILTERS = {
  many: ["status"],
  one: ["provider", "connection_id", "event_id", "event", "subject", "error_class", "external_id", "class"],
} as const satisfies FilterNames<string, string>;

export type DeliveryFilter = Filter<(typeof DELIVERY_FILTERS.many)[number], (typeof DELIVERY_FILTERS.one)[number]>;

export const EVENT_FILTERS = {
  many: [],
  one: ["type", "subject", "source", "project_id", "team_id"],
} as const satisfies FilterNames<string, string>;

export type EventFilter = Filter<never, (typeof EVENT_FILTERS.one)[number]>;

/** Reads what belongs to the list, and leaves alone what does not. */
export function readFilter<Many extends string, One extends string>(
  names: FilterNames<Many, One>,
  params: URLSearchParams,
): Filter<Many, One> {
  const filter: Record<string, string | string[]> = {};
  for (const name of names.many) {
    filter[name] = [...new Set(params.getAll(name).filter((value) => value !== ""))];
  }
  for (const name of names.one) {
    const value = params.get(name);
    if (value) filter[name] = value;
  }
  const range = params.get("range") ?? "";
  if (isRangeName(range)) {
    filter["range"] = range;
  } else {
    for (const name of ["since", "until"]) {
      const value = params.get(name);
      if (value && !Number.isNaN(Date.parse(value))) filter[name] = value;
    }
  }
  return filter as Filter<Many, One>;
}

/** The URL of a filter: nothing for what is not set, always in the same order. */
export function writeFilter<Many extends string, One extends string>(
  names: FilterNames<Many, One>,
  filter: Filter<Many, One>,
): URLSearchParams {
  const params = plain(names, filter);
  if (filter.range) {
    params.set("range", filter.range);
  } else {
    if (filter.since) params.set("since", filter.since);
    if (filter.until) params.set("until", filter.until);
  }
  return params;
}

/** What the API is asked: the same, with the named range as an instant. */
export function askFilter<Many extends string, One extends string>(
  names: FilterNames<Many, One>,
  filter: Filter<Many, One>,
  now: number,
): URLSearchParams {
  const params = plain(names, filter);
  for (const [name, value] of Object.entries(bounds(filter, now))) params.set(name, value);
  return params;
}

function plain<Many extends string, One extends string>(
  names: FilterNames<Many, One>,
  filter: Filter<Many, One>,
): URLSearchParams {
  const values = filter as Record<string, string | string[] | undefined>;
  const params = new URLSearchParams();
  for (const name of names.many) {
    for (const value of [...(values[name] ?? [])].sort()) params.append(name, value);
  }
  for (const name of names.one) {
    const value = values[name];
    if (typeof value === "string" && value.trim() !== "") params.set(name, value.trim());
  }
  return params;
}

/** How many filters are set; a period counts as one. */
export function filtersSet<Many extends string, One extends string>(
  names: FilterNames<Many, One>,
  filter: Filter<Many, One>,
): number {
  const values = filter as Record<string, string | string[] | undefined>;
  const many = names.many.filter((name) => (values[name] ?? []).length > 0).length;
  const one = names.one.filter((name) => values[name]).length;
  return many + one + (filter.range || filter.since || filter.until ? 1 : 0);
}

/** The page of the deliveries that a filter names, below an organization. */
export function deliveriesLink(filter: Partial<DeliveryFilter>): string {
  const params = writeFilter(DELIVERY_FILTERS, { status: [], ...filter });
  const query = params.toString();
  return query === "" ? "deliveries" : `deliveries?${query}`;
}
