// The foot of a list that is read page by page: what is shown, and more of it.
import { Button } from "./button";
import { plural } from "@/lib/format";

export function Pagination({ shown, noun, many, hasMore, isLoading, isLive, onMore }: {
  shown: number;
  noun: string;
  many?: string;
  hasMore: boolean;
  isLoading: boolean;
  /** It changes by itself: then it is not read out each time. */
  isLive?: boolean;
  onMore: () => void;
}) {
  return (
    <div className="flex items-center justify-between gap-3 border-t border-line px-4 py-2.5 text-xs text-muted">
      <span role={isLive ? undefined : "status"}>
        {plural(shown, noun, many)}
        {hasMore ? " shown" : ""}
      </span>
      {hasMore && (
        <Button size="sm" onClick={onMore} isBusy={isLoading}>
          Load more
        </Button>
      )}
    </div>
  );
}
