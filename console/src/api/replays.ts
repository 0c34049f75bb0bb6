// Replays: many deliveries sent again by one job, which can be watched and stopped.
import { queryOptions } from "@tanstack/react-query";

import { isFinal, type ReplayRequest } from "@/lib/replay";
import { call, fill, request } from "./client";
import { keys } from "./keys";
import { usePages } from "./pages";
import type { DryRun, Replay } from "./shapes";

const LIST = "/api/organizations/{org}/replays";
const ONE = "/api/organizations/{org}/replays/{id}";

export function useReplays(org: string, status: string | undefined) {
  return usePages(
    keys.replayList(org, { status }),
    (cursor, signal) => call("get", LIST, { path: { org }, query: { status, cursor, limit: 50 }, signal }),
    { refetchInterval: 5_000 },
  );
}

export function oneReplay(org: string, id: string) {
  return queryOptions({
    queryKey: keys.replay(org, id),
    queryFn: ({ signal }) => call("get", ONE, { path: { org, id }, signal }),
    // Often while it runs, then until all that it made due has ended.
    refetchInterval: ({ state }) => {
      if (!state.data) return false;
      if (!isFinal(state.data.status)) return 1_500;
      return state.data.still_waiting > 0 ? 5_000 : false;
    },
  });
}

// One address answers in two shapes, by what is asked.

/** What a replay would do, without doing it. */
export function tryReplay(org: string, body: ReplayRequest, signal?: AbortSignal) {
  return request<DryRun>("post", fill(LIST, { org }), { body: { ...body, dry_run: true }, signal });
}

export function startReplay(org: string, body: ReplayRequest) {
  return request<Replay>("post", fill(LIST, { org }), { body });
}

export interface ReplayChange {
  status?: "paused" | "running" | "cancelled";
  rate_per_second?: number;
}

export function changeReplay(org: string, id: string, change: ReplayChange) {
  return request<Replay>("patch", fill(ONE, { org, id }), { body: change });
}
