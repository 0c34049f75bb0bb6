// Lists that come page by page: the pages read so far as one list, and the way to the next.
import { keepPreviousData, useInfiniteQuery, type QueryKey } from "@tanstack/react-query";
import { useMemo } from "react";

export interface PageOf<T> {
  items: T[];
  next_cursor?: string | null;
}

export interface PageOptions<T> {
  /** How often it is read anew; it may depend on what was read. */
  refetchInterval?: number | ((rows: T[]) => number | false);
  refetchOnWindowFocus?: boolean;
  refetchOnReconnect?: boolean;
  /** While another key is read, what the last one gave stays (`isPlaceholderData`). */
  keepsShown?: boolean;
}

export function usePages<T>(
  key: QueryKey,
  read: (cursor: string | undefined, signal: AbortSignal) => Promise<PageOf<T>>,
  { keepsShown = false, refetchInterval, ...options }: PageOptions<T> = {},
) {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => read(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepsShown ? keepPreviousData : undefined,
    refetchInterval: typeof refetchInterval === "function" ? ({ state }) => refetchInterval(state.data?.pages.flatMap((page) => page.items) ?? []) : refetchInterval,
    ...options,
  });
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.items), [query.data]);
  return { ...query, data: rows };
}
