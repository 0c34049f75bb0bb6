// Deliveries: read page by page, one by one, and sent again.
import { queryOptions } from "@tanstack/react-query";

import { askFilter, DELIVERY_FILTERS, type DeliveryFilter } from "@/lib/filters";
import { call, fill, request, send, type Schema } from "./client";
import { keys } from "./keys";
import { usePages, type PageOptions } from "./pages";
import type { Delivery, DeliveryPage } from "./shapes";
import { readWithData } from "./with-data";

const PAGE_SIZE = 100;
const LIST = "/api/organizations/{org}/deliveries";
const ONE = "/api/organizations/{org}/deliveries/{id}";

/** Reads a page of what the filter names. A named range ends at the moment of reading. */
export function readDeliveries(org: string, filter: DeliveryFilter, cursor?: string, signal?: AbortSignal) {
  const asked = askFilter(DELIVERY_FILTERS, filter, Date.now());
  asked.set("limit", String(PAGE_SIZE));
  if (cursor) asked.set("cursor", cursor);
  return request<DeliveryPage>("get", `${fill(LIST, { org })}?${asked}`, { signal });
}

export function useDeliveries(org: string, filter: DeliveryFilter, options: PageOptions<Delivery> = {}) {
  return usePages(
    keys.deliveryList(org, { ...filter }),
    (cursor, signal) => readDeliveries(org, filter, cursor, signal),
    options,
  );
}

export function oneDelivery(org: string, id: string) {
  return queryOptions({
    queryKey: keys.delivery(org, id),
    queryFn: ({ signal }) => readWithData<Schema<"DeliveryDetail">>(fill(ONE, { org, id }), signal),
    // The stream tells what happens; this is for when it is away.
    refetchInterval: ({ state }) => (state.data?.status === "pending" ? 10_000 : false),
  });
}

/** Sends it again now, under its old id. */
export function replayDelivery(org: string, id: string, reason: string) {
  const body = { reason: reason.trim() || null };
  return call("post", "/api/organizations/{org}/deliveries/{id}/replay", { path: { org, id }, body });
}

/** The list as a file. Fetched, since a link cannot carry the token. */
export async function exportDeliveries(org: string, filter: DeliveryFilter, signal?: AbortSignal): Promise<Blob> {
  const asked = askFilter(DELIVERY_FILTERS, filter, Date.now());
  const response = await send(`${fill(`${LIST}/export`, { org })}?${asked}`, { signal, headers: { accept: "text/csv" } });
  return response.blob();
}
