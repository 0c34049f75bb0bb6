// What can be connected, and which kinds of events there are: both told by the API, so a new one needs no code here.
import { useQuery } from "@tanstack/react-query";

import { call, type Schema } from "./client";
import { keys } from "./keys";

export type Provider = Schema<"Provider">;
export type Category = "ci_cd" | "notification" | "ticketing";

export const CATEGORIES: { id: Category; label: string; about: string }[] = [
  { id: "ci_cd", label: "CI/CD", about: "Marks commits, comments on pull requests and opens issues where the code is." },
  { id: "notification", label: "Notifications", about: "One message for each event, or one digest for many." },
  { id: "ticketing", label: "Ticketing", about: "One ticket for each finding, from its discovery to its end." },
];

export function useCatalogue() {
  return useQuery({
    queryKey: keys.catalogue,
    queryFn: async ({ signal }) => (await call("get", "/api/integrations/catalogue", { signal })).providers,
    staleTime: 5 * 60_000,
  });
}

/** What a provider is called; its id while that is not known. */
export function useProviderLabel(): (id: string) => string {
  const { data } = useCatalogue();
  return (id) => data?.find((provider) => provider.id === id)?.label ?? id;
}

export function useEventTypes() {
  return useQuery({
    queryKey: keys.eventTypes,
    queryFn: async ({ signal }) => (await call("get", "/v1/event-types", { signal })).event_types,
    staleTime: 5 * 60_000,
  });
}
