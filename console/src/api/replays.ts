// Replays: many deliveries sent again by one job, which can be watched and stopped.
import { useQuery, useQueryClient, type InfiniteData, type QueryKey } from "@tanstack/react-query";
import { useEffect } from "react";

import { advanced, isMoving, type LiveReplay, type ReplayRequest } from "@/lib/replay";
import { call, fill, request, type Schema } from "./client";
import { keys } from "./keys";
import { usePages } from "./pages";
import type { DryRun, Replay } from "./shapes";
import { useLive } from "./use-live";

const LIST = "/api/organizations/{org}/replays";
const ONE = "/api/organizations/{org}/replays/{id}";

/** The stream tells what happens; this is for when it is away, and for what it does not tell. */
const LOOK_MILLISECONDS = 15_000;

/** The stream's filters are of deliveries: this one takes none of them, and replays are told all the same. */
const NO_DELIVERY = { connection_id: "00000000-0000-0000-0000-000000000000" };

type Pages = InfiniteData<Schema<"ReplayPage">, string | undefined>;

/** The list, kept current. */
export function useReplays(org: string, status: string | undefined) {
  const queries = useQueryClient();
  const key = keys.replayList(org, { status });
  useReplayNews(org, key, (news) => {
    let isKnown = false;
    const after = (row: Replay) => {
      if (row.id !== news.id) return row;
      isKnown = true;
      return advanced(row, news);
    };
    queries.setQueryData<Pages>(key, (now) => now && { ...now, pages: now.pages.map((page) => ({ ...page, items: page.items.map(after) })) });
    // It came into the list, or left it.
    if (isKnown !== (!status || status === news.status)) void queries.invalidateQueries({ queryKey: key }, { cancelRefetch: false });
  });
  return usePages(
    key,
    (cursor, signal) => call("get", LIST, { path: { org }, query: { status, cursor, limit: 50 }, signal }),
    { refetchInterval: (rows) => rows.some(isMoving) && LOOK_MILLISECONDS },
  );
}

/** One, followed until all that it made due has ended. `begun` is what is known of it already. */
export function useReplay(org: string, id: string, begun?: Replay) {
  const queries = useQueryClient();
  const key = keys.replay(org, id);
  const query = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => call("get", ONE, { path: { org, id }, signal }),
    initialData: begun,
    refetchInterval: ({ state }) => state.data !== undefined && isMoving(state.data) && LOOK_MILLISECONDS,
  });
  const status = query.data?.status;
  const tell = (news: LiveReplay) => {
    if (news.id !== id) return;
    queries.setQueryData<Replay>(key, (now) => now && advanced(now, news));
    // When that was, and why some were left out, is not told.
    if (news.status !== status) void queries.invalidateQueries({ queryKey: key });
  };
  useReplayNews(org, key, tell, query.data !== undefined && isMoving(query.data));
  return query;
}

/** Hears how replays get on. A stream tells only what changes from when it is open: so what is kept is asked for once then. */
function useReplayNews(org: string, key: QueryKey, tell: (news: LiveReplay) => void, isOn = true) {
  const queries = useQueryClient();
  const ask = () => void queries.invalidateQueries({ queryKey: key });
  const { state } = useLive(
    org,
    NO_DELIVERY,
    ({ event, data }) => {
      if (event === "replay") tell(data as LiveReplay);
      else if (event === "lagged") ask();
    },
    isOn,
  );
  const openFor = state === "open" ? JSON.stringify(key) : null;
  useEffect(() => {
    if (openFor !== null) void queries.invalidateQueries({ queryKey: JSON.parse(openFor) as QueryKey });
  }, [openFor, queries]);
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
