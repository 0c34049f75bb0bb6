// The foot of a list that is read page by page: what is shown, and more of it; and the way on where nothing was found so far.
import type { ReactNode } from "react";

import { sentence } from "@/api/errors";
import { plural } from "@/lib/format";
import { Button } from "./button";
import { EmptyState } from "./states";

/** What a list knows of its next page. */
export interface Further {
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  isFetchNextPageError: boolean;
  error: unknown;
  fetchNextPage: () => unknown;
}

export function Pagination({ list, shown, noun, many, isLive }: {
  list: Further;
  shown: number;
  noun: string;
  many?: string;
  /** It changes by itself: then it is not read out each time. */
  isLive?: boolean;
}) {
  return (
    <div className="flex flex-wrap items-center justify-between gap-3 border-t border-line px-4 py-2.5 text-xs text-muted">
      <span role={isLive ? undefined : "status"}>
        {plural(shown, noun, many)}
        {list.hasNextPage ? " shown" : ""}
      </span>
      <Mistake list={list} />
      {list.hasNextPage && (
        <Button size="sm" onClick={() => void list.fetchNextPage()} isBusy={list.isFetchingNextPage}>
          Load more
        </Button>
      )}
    </div>
  );
}

/** Stands where rows would be: a search may give up early with nothing, and then it is not the end. */
export function LookFurther({ list, many, icon }: { list: Further; many: string; icon?: ReactNode }) {
  const action = (
    <div className="flex flex-col items-center gap-3">
      <Button isBusy={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
        Look further back
      </Button>
      <Mistake list={list} />
    </div>
  );
  return (
    <EmptyState icon={icon} title="Nothing so far" action={action}>
      None of the {many} that were looked through match.
    </EmptyState>
  );
}

function Mistake({ list }: { list: Further }) {
  if (!list.isFetchNextPageError) return null;
  return (
    <p role="alert" className="foreign min-w-0 flex-1 text-xs text-bad">
      {sentence(list.error)}
    </p>
  );
}
