// The list of deliveries while it is watched: known rows change in place, new ones come on top unless somebody is reading there.
import { useQueryClient, type InfiniteData } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";

import { readDeliveries, useDeliveries } from "@/api/deliveries";
import { keys } from "@/api/keys";
import type { Delivery, DeliveryPage } from "@/api/shapes";
import { useLive } from "@/api/use-live";
import type { DeliveryFilter } from "@/lib/filters";
import { mayMatch, mergeNewest, patched, type LiveDelivery } from "@/lib/live";

type Pages = InfiniteData<DeliveryPage, string | undefined>;

/** News are laid over the table together, so that a thousand a second are a few renders. */
const APPLY_MILLISECONDS = 300;
/** The stream says that there is something new; the list, asked at most this often, says what. */
const READ_MILLISECONDS = 1_500;
const LOOK_MILLISECONDS = 10_000;
const FRESH_MILLISECONDS = 1_800;

export function useLiveList(org: string, filter: DeliveryFilter, options: { isLive: boolean; isHeld: () => boolean }) {
  const queries = useQueryClient();
  // What is watched comes by the stream, and what is paused stays as it is.
  const list = useDeliveries(org, filter, { keepsShown: true, refetchOnWindowFocus: false, refetchOnReconnect: false });
  const key = keys.deliveryList(org, { ...filter });
  const keyText = JSON.stringify(key);
  const fresh = useFresh();
  const [waiting, setWaiting] = useState(0);
  const newest = useRef<DeliveryPage | null>(null);
  const news = useRef(new Map<string, LiveDelivery>());
  const hasUnknown = useRef(false);
  const isAskedFor = useRef(false);
  const latest = useRef({ key, filter, ...options });
  useEffect(() => {
    latest.current = { key, filter, ...options };
  });

  // Whatever is laid over the list while it is read is lost with the answer: then it waits.
  const isBeingRead = useCallback(() => queries.getQueryState(latest.current.key)?.fetchStatus === "fetching", [queries]);

  /** Puts the newest page on top of what is shown. */
  const show = useCallback(() => {
    isAskedFor.current = isBeingRead();
    if (isAskedFor.current) return;
    const page = newest.current;
    newest.current = null;
    setWaiting(0);
    if (!page) return;
    let added: string[] = [];
    queries.setQueryData<Pages>(latest.current.key, (now) => {
      if (!now) return now;
      const merged = mergeNewest(now.pages.map((one) => one.items), page.items, !page.next_cursor);
      added = merged.added;
      if (merged.isAnew) return { pages: [page], pageParams: [undefined] };
      return { ...now, pages: now.pages.map((one, at) => ({ ...one, items: merged.pages[at] ?? one.items })) };
    });
    fresh.mark(added);
  }, [queries, fresh.mark, isBeingRead]);

  // Known rows, a few times a second.
  useEffect(() => {
    const timer = setInterval(() => {
      if (news.current.size === 0 || isBeingRead()) return;
      const taken = news.current;
      news.current = new Map();
      const changed: string[] = [];
      const known = new Set<string>();
      queries.setQueryData<Pages>(latest.current.key, (now) => {
        if (!now) return now;
        const pages = now.pages.map((page) => {
          let isSame = true;
          const items = page.items.map((row) => {
            const one = taken.get(row.id);
            if (!one) return row;
            known.add(row.id);
            const after = patched(row, one);
            if (after !== row) {
              isSame = false;
              changed.push(row.id);
            }
            return after;
          });
          return isSame ? page : { ...page, items };
        });
        return changed.length > 0 ? { ...now, pages } : now;
      });
      fresh.mark(changed);
      for (const one of taken.values()) {
        if (!known.has(one.id) && mayMatch(latest.current.filter, one)) hasUnknown.current = true;
      }
    }, APPLY_MILLISECONDS);
    return () => clearInterval(timer);
  }, [queries, fresh.mark, isBeingRead]);

  // New rows: read the first page again, and show it, or say how many wait.
  useEffect(() => {
    newest.current = null;
    hasUnknown.current = false;
    isAskedFor.current = false;
    setWaiting(0);
    const stop = new AbortController();
    let isReading = false;
    let readAt = Date.now();
    const mayShow = () => latest.current.isLive && !latest.current.isHeld();
    const timer = setInterval(() => {
      if (newest.current && (isAskedFor.current || mayShow())) show();
      // The stream tells of attempts: what waits for its first one is found by looking now and then.
      const isDue = hasUnknown.current || (Date.now() - readAt > LOOK_MILLISECONDS && !document.hidden);
      if (!isDue || isReading || !latest.current.isLive) return;
      hasUnknown.current = false;
      isReading = true;
      readAt = Date.now();
      readDeliveries(org, latest.current.filter, undefined, stop.signal)
        .then((page) => {
          if (stop.signal.aborted) return;
          newest.current = page;
          const shown = queries.getQueryData<Pages>(latest.current.key)?.pages.map((one) => one.items) ?? [];
          const { added } = mergeNewest(shown, page.items, !page.next_cursor);
          if (added.length === 0 || mayShow()) show();
          else setWaiting(added.length);
        })
        .catch(() => {
          // It is asked again with the next news.
          hasUnknown.current = true;
        })
        .finally(() => (isReading = false));
    }, READ_MILLISECONDS);
    return () => {
      stop.abort();
      clearInterval(timer);
    };
  }, [org, keyText, queries, show]);

  // What happened while it was paused, to whichever of its rows, only the list knows.
  const wasLive = useRef(options.isLive);
  useEffect(() => {
    if (options.isLive && !wasLive.current) void queries.invalidateQueries({ queryKey: latest.current.key });
    wasLive.current = options.isLive;
  }, [options.isLive, queries]);

  const stream = useLive(
    org,
    { connection_id: filter.connection_id },
    ({ event, data }) => {
      if (event === "delivery") news.current.set((data as LiveDelivery).id, data as LiveDelivery);
      // Something was missed, or is told no more: only the list knows what.
      else if (event === "gap" || event === "lagged") hasUnknown.current = true;
    },
    options.isLive,
  );
  return { list, stream, waiting, show, isFresh: fresh.has };
}

/** Ids that flash for a moment. */
function useFresh() {
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const mark = useCallback((added: string[]) => {
    if (added.length === 0) return;
    setIds((now) => new Set([...now, ...added]));
    setTimeout(() => {
      setIds((now) => new Set([...now].filter((id) => !added.includes(id))));
    }, FRESH_MILLISECONDS);
  }, []);
  const has = useCallback((row: Delivery) => ids.has(row.id), [ids]);
  return { mark, has };
}
