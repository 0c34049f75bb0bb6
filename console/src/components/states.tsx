// What a page shows when there is nothing, something went wrong, or it is not there yet.
import { CircleAlert, RotateCw } from "lucide-react";
import type { ReactNode } from "react";

import { ApiError, sentence } from "@/api/errors";
import { classes } from "@/lib/classes";
import { Button } from "./button";

export function EmptyState({ icon, title, children, action }: { icon?: ReactNode; title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="flex flex-col items-center px-6 py-12 text-center">
      {icon && <div className="mb-3 grid size-10 place-items-center rounded-full bg-raised text-muted [&>svg]:size-5">{icon}</div>}
      <p className="text-base font-medium">{title}</p>
      {children && <div className="mt-1 max-w-md text-sm text-muted">{children}</div>}
      {action && <div className="mt-4">{action}</div>}
    </div>
  );
}

export function ErrorState({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const id = error instanceof ApiError ? error.requestId : null;
  return (
    <div role="alert" className="flex flex-col items-center px-6 py-12 text-center">
      <div className="mb-3 grid size-10 place-items-center rounded-full bg-bad-soft text-bad">
        <CircleAlert className="size-5" aria-hidden />
      </div>
      <p className="foreign max-w-md text-base font-medium">{sentence(error)}</p>
      {id && <p className="mt-1 font-mono text-xs text-faint">Request {id}</p>}
      {onRetry && (
        <Button className="mt-4" icon={<RotateCw className="size-3.5" aria-hidden />} onClick={onRetry}>
          Try again
        </Button>
      )}
    </div>
  );
}

/** Grey bars where lines of text will be. */
export function Skeleton({ lines = 4, className }: { lines?: number; className?: string }) {
  return (
    <div role="status" aria-label="Loading" className={classes("space-y-3 p-5", className)}>
      {Array.from({ length: lines }, (_, at) => (
        <div key={at} className={classes("h-4 animate-pulse rounded bg-raised", at % 3 === 2 ? "w-1/2" : at % 3 === 1 ? "w-4/5" : "w-full")} />
      ))}
    </div>
  );
}

interface Asked {
  error: unknown;
  refetch: () => unknown;
  /** Of a list: then its foot tells. */
  isFetchNextPageError?: boolean;
}

/** Says that what is shown could not be read anew. */
export function Stale({ query, className }: { query: Asked; className?: string }) {
  if (!query.error || query.isFetchNextPageError) return null;
  return (
    <div role="alert" className={classes("flex flex-wrap items-center gap-x-3 gap-y-1 rounded-lg bg-warn-soft px-3 py-2 text-sm text-warn", className)}>
      <CircleAlert className="size-4 shrink-0" aria-hidden />
      <p className="foreign min-w-0 flex-1">This may be out of date. {sentence(query.error)}</p>
      <Button size="sm" onClick={() => void query.refetch()}>
        Try again
      </Button>
    </div>
  );
}

/** The part of a query's answer that can be shown: its data, or why there is none. */
export function Loaded<T>({ query, children, lines }: {
  query: Asked & { data: T | undefined };
  children: (data: T) => ReactNode;
  lines?: number;
}) {
  if (query.data !== undefined) {
    return (
      <>
        <Stale query={query} className="m-3" />
        {children(query.data)}
      </>
    );
  }
  if (query.error) return <ErrorState error={query.error} onRetry={() => void query.refetch()} />;
  return <Skeleton lines={lines} />;
}
