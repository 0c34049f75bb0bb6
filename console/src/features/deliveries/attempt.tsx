// One attempt in the timeline: a line that says what came of it, and everything about it when opened.
import { ChevronRight } from "lucide-react";
import { useId, useState, type ReactNode } from "react";
import { Link } from "react-router";

import type { Attempt } from "@/api/shapes";
import { useOrganizationPath } from "@/app/organization";
import { Badge, type Tone } from "@/components/badge";
import { Code } from "@/components/code";
import { Tabs } from "@/components/tabs";
import { Time } from "@/components/time";
import { classes } from "@/lib/classes";
import { count, span } from "@/lib/format";
import { isSigned, signatureParts } from "@/lib/signature";
import { errorClass, reason, settlement } from "@/lib/words";
import { StatusCode } from "./cells";
import { RequestView, ResponseView } from "./exchange";
import { Reproduce } from "./reproduce";
import { Signature } from "./signature";
import { TimingBar, TimingLegend } from "./timing-bar";

const RINGS: Record<Tone, string> = {
  good: "bg-good-mark",
  warn: "bg-warn-mark",
  bad: "bg-bad-mark",
  info: "bg-info-mark",
  idle: "bg-idle-mark",
  accent: "bg-accent",
};

/** A place on the timeline: its dot, the line to the next, and what belongs to it. */
export function TimelineItem({ tone, isLast, children }: { tone: Tone; isLast: boolean; children: ReactNode }) {
  return (
    <li className="relative flex gap-3 pb-2 last:pb-0">
      {!isLast && <span aria-hidden className="absolute top-10 -bottom-3 left-[0.6875rem] w-px bg-line" />}
      <span aria-hidden className="mt-3.5 grid size-[1.4375rem] shrink-0 place-items-center">
        <span className={classes("size-2.5 rounded-full ring-4 ring-surface", RINGS[tone])} />
      </span>
      <div className="min-w-0 flex-1">{children}</div>
    </li>
  );
}

export function AttemptItem({ attempt, at, connection, isLast, isOpenFirst }: {
  attempt: Attempt;
  /** Its place in the list: numbers repeat where nothing was sent. */
  at: number;
  connection: string;
  isLast: boolean;
  isOpenFirst: boolean;
}) {
  const [isOpen, setOpen] = useState(isOpenFirst);
  const id = useId();
  const { label, tone } = settlement(attempt.settlement);
  const wasSent = attempt.started_at !== null && attempt.started_at !== undefined;
  return (
    <TimelineItem tone={tone} isLast={isLast}>
      <div className={classes("@container rounded-lg border transition-colors", isOpen ? "border-line" : "border-transparent hover:border-line")}>
        <h3>
          <button
            type="button"
            aria-expanded={isOpen}
            aria-controls={id}
            onClick={() => setOpen(!isOpen)}
            className="flex w-full flex-wrap items-center gap-x-3 gap-y-1 rounded-lg px-3 py-2.5 text-left text-sm hover:bg-raised/60"
          >
            <ChevronRight aria-hidden className={classes("size-3.5 shrink-0 text-muted transition-transform", isOpen && "rotate-90")} />
            <span className="tabular font-medium whitespace-nowrap">{wasSent ? `Attempt ${attempt.number}` : "Not sent"}</span>
            <Badge tone={tone}>{label}</Badge>
            {attempt.status_code ? <StatusCode code={attempt.status_code} /> : null}
            <span className="foreign min-w-0 flex-1 truncate text-xs text-muted">
              {attempt.reason ? reason(attempt.reason).label : attempt.error_class && !attempt.status_code ? errorClass(attempt.error_class) : ""}
            </span>
            {attempt.timing && <TimingBar times={attempt.timing} className="w-20 @max-2xl:hidden" />}
            {attempt.duration_ms !== null && attempt.duration_ms !== undefined && (
              <span className="tabular w-16 text-right text-xs text-muted">{span(attempt.duration_ms)}</span>
            )}
            <Time at={attempt.started_at ?? attempt.recorded_at} className="w-24 text-right text-xs whitespace-nowrap text-muted" />
          </button>
        </h3>
        {isOpen && (
          <div id={id} className="space-y-4 border-t border-line px-4 pt-3 pb-4">
            <Circumstances attempt={attempt} connection={connection} />
            {attempt.timing && <TimingLegend times={attempt.timing} />}
            <Exchange attempt={attempt} at={at} wasSent={wasSent} />
          </div>
        )}
      </div>
    </TimelineItem>
  );
}

function Circumstances({ attempt, connection }: { attempt: Attempt; connection: string }) {
  const path = useOrganizationPath();
  const why = attempt.reason ? reason(attempt.reason) : null;
  return (
    <div className="space-y-1.5 text-sm">
      {why && (
        <p>
          {why.sentence || why.label} {why.remedy && <span className="text-muted">{why.remedy}</span>}
        </p>
      )}
      {attempt.error && <p className="foreign text-bad">{attempt.error}</p>}
      <p className="flex flex-wrap gap-x-4 gap-y-1 text-xs text-muted">
        <span>
          <Time at={attempt.started_at ?? attempt.recorded_at} isExact />
        </span>
        {attempt.error_class && <span>Error class <code className="font-mono">{attempt.error_class}</code></span>}
        {attempt.next_due_at && <span>Next due <Time at={attempt.next_due_at} /></span>}
        {attempt.connection_version ? (
          <Link to={path(`connections/${connection}?tab=history`)} className="rounded hover:text-ink hover:underline">
            Version {count(attempt.connection_version)} of the connection
          </Link>
        ) : null}
      </p>
    </div>
  );
}

function Exchange({ attempt, at, wasSent }: { attempt: Attempt; at: number; wasSent: boolean }) {
  const { request, response } = attempt;
  if (!request && !response) {
    if (attempt.response_head) {
      return (
        <div>
          <p className="mb-1.5 text-xs text-muted">The beginning of the answer</p>
          <Code text={attempt.response_head} label="The beginning of the answer" isRaw />
        </div>
      );
    }
    return wasSent ? <p className="text-sm text-muted">Request and answer of this attempt are not kept.</p> : null;
  }
  const tabs = [
    response && { id: "response", label: "Answer", content: <ResponseView response={response} /> },
    request && { id: "request", label: "Request", content: <RequestView request={request} /> },
    request && isSigned(signatureParts({ ...request, body: null })) && { id: "signature", label: "Signature", content: <Signature request={request} /> },
    request && { id: "curl", label: "Reproduce", content: <Reproduce request={request} /> },
  ].filter((tab) => tab !== null && tab !== undefined && tab !== false);
  return <Tabs label={`What attempt ${attempt.number} sent and got`} name={`attempt-${at}`} tabs={tabs} />;
}
