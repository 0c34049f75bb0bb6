// Events: what was reported, and why it went where it went.
import { queryOptions } from "@tanstack/react-query";

import { askFilter, EVENT_FILTERS, type EventFilter } from "@/lib/filters";
import { call, fill, request, type Schema } from "./client";
import { keys } from "./keys";
import { usePages } from "./pages";
import { readWithData } from "./with-data";

const LIST = "/api/organizations/{org}/events";

export function useEvents(org: string, filter: EventFilter) {
  const read = (cursor: string | undefined, signal: AbortSignal) => {
    const asked = askFilter(EVENT_FILTERS, filter, Date.now());
    asked.set("limit", "100");
    if (cursor) asked.set("cursor", cursor);
    return request<Schema<"EventPage">>("get", `${fill(LIST, { org })}?${asked}`, { signal });
  };
  return usePages(keys.eventList(org, { ...filter }), read, { keepsShown: true });
}

export function oneEvent(org: string, id: string) {
  return queryOptions({
    queryKey: keys.event(org, id),
    queryFn: ({ signal }) => readWithData<Schema<"EventDetail">>(fill(`${LIST}/{id}`, { org, id }), signal),
  });
}

export function explanation(org: string, id: string, connection: string) {
  return queryOptions({
    queryKey: keys.why(org, id, connection),
    queryFn: ({ signal }) =>
      call("get", "/api/organizations/{org}/events/{id}/why", {
        path: { org, id },
        query: { connection_id: connection },
        signal,
      }),
    enabled: connection !== "",
  });
}
