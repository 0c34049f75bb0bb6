// An organization's connections: the list, one with its settings, its history and its numbers, and what changes them.
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { call, request, type Schema } from "./client";
import { ApiError } from "./errors";
import { keys } from "./keys";
import { usePages } from "./pages";

export type ConnectionSummary = Schema<"ConnectionSummary">;
export type Connection = Schema<"ConnectionSettings">;
export type ConnectionPatch = Schema<"ConnectionPatch">;
export type Statistics = Schema<"Statistics">;
export type Preview = Schema<"Preview">;

/** Everything that is kept of connections is asked for again. */
export function useForgetConnections(org: string) {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: keys.connections(org) });
}

/** Every connection that is there, of whatever scope and status; or the removed ones. */
export function useConnections(org: string, { removed = false }: { removed?: boolean } = {}) {
  return useQuery({
    queryKey: keys.connectionList(org, { removed }),
    queryFn: async ({ signal }) => {
      const query = removed ? { removed } : {};
      return (await call("get", "/api/organizations/{org}/connections", { path: { org }, query, signal })).items;
    },
    staleTime: 10_000,
  });
}

/** What a connection is called, by its id. */
export function useConnectionName(org: string): (id: string) => string {
  const { data } = useConnections(org);
  return (id) => data?.find((one) => one.id === id)?.display_name ?? `…${id.slice(-8)}`;
}

export function useConnection(org: string, id: string) {
  return useQuery({
    queryKey: keys.connection(org, id),
    queryFn: ({ signal }) => call("get", "/api/organizations/{org}/connections/{id}", { path: { org, id }, signal }),
  });
}

/** As it stood at an instant. */
export function useConnectionAsOf(org: string, id: string, at: string | null) {
  return useQuery({
    queryKey: keys.connectionAsOf(org, id, at),
    queryFn: ({ signal }) => call("get", "/api/organizations/{org}/connections/{id}", { path: { org, id }, query: { as_of: at ?? undefined }, signal }),
    enabled: at !== null,
    staleTime: Infinity,
    retry: false,
  });
}

export function useHistory(org: string, id: string) {
  return usePages(keys.history(org, id), (cursor, signal) =>
    call("get", "/api/organizations/{org}/connections/{id}/history", { path: { org, id }, query: { cursor, limit: 50 }, signal }),
  );
}

export function useStatistics(org: string, id: string, days: number) {
  return useQuery({
    queryKey: keys.statistics(org, id, { days }),
    queryFn: ({ signal }) => {
      const until = new Date();
      const since = new Date(until.getTime() - days * 86_400_000);
      const query = { since: since.toISOString(), until: until.toISOString() };
      return call("get", "/api/organizations/{org}/connections/{id}/statistics", { path: { org, id }, query, signal });
    },
    refetchInterval: 30_000,
  });
}

/**
 * Changes settings, all or nothing. With the version that was seen, nobody else's change is written over.
 * `onSaved` is told even if what asked is no longer there: a saved version can replace its own form.
 */
export function useChangeConnection(org: string, id: string, onSaved?: (changed: Connection) => void) {
  const queries = useQueryClient();
  return useMutation({
    // Headers are secrets: what was sent is not kept.
    gcTime: 0,
    mutationFn: (body: ConnectionPatch) => call("patch", "/api/organizations/{org}/connections/{id}", { path: { org, id }, body }),
    onSuccess: (changed) => {
      queries.setQueryData(keys.connection(org, id), changed);
      onSaved?.(changed);
      return queries.invalidateQueries({ queryKey: keys.connections(org) });
    },
    onError: (error) => {
      // Somebody else has removed it: its page is to say so.
      if (error instanceof ApiError && error.status === 404) void queries.invalidateQueries({ queryKey: keys.connections(org) });
    },
  });
}

/** Sends a test there. Not having reached it is an answer, not an error. */
export function useTestConnection(org: string, id: string) {
  return useMutation({
    mutationFn: () => call("post", "/api/organizations/{org}/connections/{id}/test", { path: { org, id } }),
  });
}

/** Which of the last events a subscription would have taken; nothing is changed. `wish` is its body as JSON. */
export function usePreview(org: string, id: string, wish: string | null) {
  return useQuery({
    queryKey: keys.preview(org, id, wish),
    queryFn: ({ signal }) => {
      const body = JSON.parse(wish ?? "{}") as Schema<"PreviewBody">;
      return call("post", "/api/organizations/{org}/connections/{id}/preview", { path: { org, id }, body, signal });
    },
    enabled: wish !== null,
    placeholderData: keepPreviousData,
    retry: false,
  });
}

export function useDestinations(org: string, id: string, search: string) {
  return useQuery({
    queryKey: keys.destinations(org, id, search),
    queryFn: ({ signal }) => call("get", "/api/organizations/{org}/connections/{id}/destinations", { path: { org, id }, query: { search }, signal }),
    retry: false,
  });
}

export function useChooseDestination(org: string, id: string, onChosen: (chosen: Schema<"ChoiceMade">) => void) {
  const forget = useForgetConnections(org);
  return useMutation({
    mutationFn: (body: Schema<"ChoiceBody">) => call("put", "/api/organizations/{org}/connections/{id}/destination", { path: { org, id }, body }),
    onSuccess: (chosen) => {
      onChosen(chosen);
      return forget();
    },
  });
}

/** Which team or project a connection serves, if it is not the whole organization. */
export interface Home {
  team_id?: string | null;
  project_id?: string | null;
}

/** Where a connection's own routes are: those of the organization, or of the team or project that it serves. */
export function home(org: string, of: Home): string {
  if (of.team_id) return `/api/organizations/${org}/teams/${of.team_id}`;
  if (of.project_id) return `/api/organizations/${org}/projects/${of.project_id}`;
  return `/api/integrations/organizations/${org}`;
}

export function useRemoveConnection(org: string, onRemoved: () => void) {
  const forget = useForgetConnections(org);
  return useMutation({
    mutationFn: (of: { id: string } & Home) => request<Schema<"ConnectionRemoved">>("delete", `${home(org, of)}/connections/${of.id}`),
    onSuccess: () => {
      onRemoved();
      void forget();
    },
  });
}
