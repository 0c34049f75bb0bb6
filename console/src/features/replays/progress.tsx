// How far a replay has come: a bar, numbers, and now and then a sentence for those who listen.
import { useEffect, useRef, useState } from "react";

import type { Replay } from "@/api/shapes";
import { Figure } from "@/components/card";
import { ProgressBar } from "@/components/progress-bar";
import { count, percent, plural, span } from "@/lib/format";
import { isFinal, milestone, progressSentence, share, type Progress } from "@/lib/replay";
import { reason } from "@/lib/words";

export function asProgress(replay: Replay): Progress {
  return { ...replay, total: replay.total ?? null };
}

export function ReplayProgress({ replay }: { replay: Replay }) {
  const progress = asProgress(replay);
  const done = share(progress);
  const skipped = Object.entries(replay.skipped_by_reason).sort((a, b) => b[1] - a[1]);
  const eta = replay.eta_seconds;
  return (
    <div className="space-y-4">
      <div>
        <div className="mb-2 flex items-baseline justify-between gap-3 text-sm">
          <span className="font-medium">{done === null ? "Counting what matches…" : percent(done)}</span>
          <span className="tabular text-xs text-muted">
            {replay.status === "running" && eta !== null && eta !== undefined && `about ${span(eta * 1000)} left`}
          </span>
        </div>
        <ProgressBar
          label="Progress of the replay"
          done={replay.status === "completed" ? (progress.total ?? 1) : replay.considered}
          total={progress.total === 0 ? 1 : progress.total}
          isIdle={replay.status === "paused" || replay.status === "cancelled" || replay.status === "failed"}
        />
        <Announcement progress={progress} />
      </div>
      <dl className="grid grid-cols-2 gap-4 sm:grid-cols-4">
        <Figure label="Considered" value={count(replay.considered)} more={progress.total === null ? "of how many is being counted" : `of ${count(progress.total)}`} />
        <Figure label="Made due" value={count(replay.replayed)} />
        <Figure label="Arrived" value={replay.delivered === null || replay.delivered === undefined ? "–" : count(replay.delivered)} tone={replay.delivered ? "good" : undefined} more={waiting(replay)} />
        <Figure label="Left out" value={count(replay.skipped)} tone={replay.skipped > 0 ? "warn" : undefined} />
      </dl>
      {skipped.length > 0 && (
        <div className="text-sm">
          <h3 className="text-xs font-medium text-muted">Why some were left out</h3>
          <ul className="mt-1 divide-y divide-line">
            {skipped.map(([code, number]) => (
              <li key={code} className="flex justify-between gap-4 py-1.5">
                <span title={reason(code).sentence}>{reason(code).label}</span>
                <span className="tabular font-medium">{count(number)}</span>
              </li>
            ))}
          </ul>
        </div>
      )}
    </div>
  );
}

function waiting(replay: Replay): string | undefined {
  const left = replay.still_waiting;
  if (left === null || left === undefined) return undefined;
  if (left > 0) return `${plural(left, "delivery", "deliveries")} on the way`;
  return isFinal(replay.status) ? "none on the way" : undefined;
}

function Announcement({ progress }: { progress: Progress }) {
  const [said, setSaid] = useState(() => progressSentence(progress));
  const at = milestone(progress);
  const latest = useRef(progress);
  useEffect(() => {
    latest.current = progress;
  });
  useEffect(() => setSaid(progressSentence(latest.current)), [at]);
  return (
    <p role="status" className="sr-only">
      {said}
    </p>
  );
}
