// An instant as people say it (`5 min ago`), and exactly when pointed at.
import { useEffect, useState } from "react";

import { instant, relative } from "@/lib/format";

/** One clock for all of them: they move together. */
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

function useTick() {
  const [, tick] = useState(0);
  useEffect(() => {
    const listener = () => tick((now) => now + 1);
    listeners.add(listener);
    timer ??= setInterval(() => listeners.forEach((tell) => tell()), 10_000);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) {
        clearInterval(timer);
        timer = undefined;
      }
    };
  }, []);
}

export function Time({ at, isExact, className }: { at: string | null | undefined; isExact?: boolean; className?: string }) {
  useTick();
  if (!at) return <span className="text-faint">–</span>;
  const exact = instant(at);
  return (
    <time dateTime={at} title={isExact ? relative(at) : `${exact} (${at})`} className={className ?? "whitespace-nowrap"}>
      {isExact ? exact : relative(at)}
    </time>
  );
}
