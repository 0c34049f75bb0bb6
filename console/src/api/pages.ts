// Lists that come page by page: the pages read so far as one list, and the way to the next.
import { keepPreviousData, useInfiniteQuery, type QueryKey } from "@tanstack/react-query";
import { useMemo } from "react";

export interface PageOf<T> {
  items: T[];
  next_cursor?: string | null;
}

export function usePages<T>(
  key: QueryKey,
  read: (cursor: string | undefined, signal: AbortSignal) => Promise<PageOf<T>>,
  { keepsShown = false, ...options }: {
    enabled?: boolean;
    refetchInterval?: number | false;
    /** While another key is read, what the last one gave stays (`isPlaceholderData`). */
    keepsShown?: boolean;
  } = {},
) {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => read(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_cursor ?? undefined,
    placeholderData: keepsShown ? keepPreviousData : undefined,
    ...options,
  });
  const rows = useMemo(() => query.data?.pages.flatMap((page) => page.items), [query.data]);
  return { ...query, data: rows };
}
