// What the live stream says of deliveries, laid over the list that is on the screen.

import type { DeliveryFilter } from "./filters";

/** `delivery` of `GET live`. */
export interface LiveDelivery {
  id: string;
  connection_id: string;
  event_id: string;
  event: string | null;
  status: string;
  attempts: number;
  status_code: number | null;
  error_class: string | null;
  reason: string | null;
  class: string;
  at: string;
}

/** The part of a row that the stream can change. */
export interface LiveRow {
  id: string;
  status: string;
  attempts: number;
  status_code?: number | null;
  error_class?: string | null;
  reason?: string | null;
  class: string;
  updated_at?: string | null;
}

/** The row after the news; the same object where they are old or say nothing new. */
export function patched<Row extends LiveRow>(row: Row, news: LiveDelivery): Row {
  if (row.id !== news.id) return row;
  if (row.updated_at && Date.parse(row.updated_at) > Date.parse(news.at)) return row;
  if (row.status === news.status && row.attempts === news.attempts && (row.reason ?? null) === news.reason) return row;
  return {
    ...row,
    status: news.status,
    attempts: news.attempts,
    status_code: news.status_code,
    error_class: news.error_class,
    reason: news.reason,
    class: news.class,
    updated_at: news.at,
  };
}

/** Whether the news may belong into the list. What the stream does not tell is taken as a yes: the list decides. */
export function mayMatch(filter: DeliveryFilter, news: LiveDelivery): boolean {
  if (filter.until && Date.parse(filter.until) <= Date.parse(news.at)) return false;
  if (filter.status.length > 0 && !filter.status.includes(news.status)) return false;
  return (
    isOrUnset(filter.connection_id, news.connection_id) &&
    isOrUnset(filter.event_id, news.event_id) &&
    isOrUnset(filter.event, news.event) &&
    isOrUnset(filter.error_class, news.error_class) &&
    isOrUnset(filter.class, news.class)
  );
}

function isOrUnset(wanted: string | undefined, given: string | null): boolean {
  return wanted === undefined || wanted === "" || given === null || wanted === given;
}

/** Beyond so many rows a list that is only watched begins anew with its first page. */
export const WATCHED_MAX = 1_000;

/**
 * A newly read first page, laid over the pages on the screen: what is new comes on top, what is known is renewed in its place
 * unless the stream has said something newer of it since, and nothing else moves. Where the page and the list do not meet there are rows that nobody has read: then the page is all.
 */
export function mergeNewest<Row extends { id: string; updated_at?: string | null }>(
  shown: readonly (readonly Row[])[],
  newest: readonly Row[],
  isLastPage: boolean,
): { pages: Row[][]; added: string[]; isAnew: boolean } {
  const fresh = new Map(newest.map((row) => [row.id, row]));
  const known = new Set(shown.flatMap((page) => page.map((row) => row.id)));
  const added = newest.filter((row) => !known.has(row.id));
  const isApart = !isLastPage && known.size > 0 && newest.length > 0 && added.length === newest.length;
  const isLong = added.length > 0 && known.size + added.length > WATCHED_MAX;
  const ids = added.map((row) => row.id);
  if (isApart || isLong || shown.length === 0) return { pages: [[...newest]], added: ids, isAnew: true };
  const pages = shown.map((page, at) => [...(at === 0 ? added : []), ...page.map((row) => newer(row, fresh.get(row.id)))]);
  return { pages, added: ids, isAnew: false };
}

function newer<Row extends { updated_at?: string | null }>(row: Row, read: Row | undefined): Row {
  if (!read) return row;
  return row.updated_at && read.updated_at && Date.parse(row.updated_at) > Date.parse(read.updated_at) ? row : read;
}
