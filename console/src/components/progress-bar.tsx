// How far something is.
import { classes } from "@/lib/classes";

export function ProgressBar({ done, total, label, isIdle }: { done: number; total: number | null; label: string; isIdle?: boolean }) {
  const share = total ? Math.min(done / total, 1) : 0;
  return (
    <div
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={total ?? undefined}
      aria-valuenow={total === null ? undefined : Math.min(done, total)}
      className="h-2 w-full overflow-hidden rounded-full bg-raised"
    >
      <div
        className={classes("h-full rounded-full transition-[width] duration-300", isIdle ? "bg-idle-mark" : "bg-accent", total === null && "w-1/3 animate-pulse")}
        style={total === null ? undefined : { width: `${share * 100}%` }}
      />
    </div>
  );
}
