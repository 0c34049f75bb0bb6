// Small labels with a meaning in their colour, and always in their words too.
import type { ReactNode } from "react";

import { classes } from "@/lib/classes";

export type Tone = "good" | "warn" | "bad" | "info" | "idle" | "accent";

const SOFT: Record<Tone, string> = {
  good: "bg-good-soft text-good",
  warn: "bg-warn-soft text-warn",
  bad: "bg-bad-soft text-bad",
  info: "bg-info-soft text-info",
  idle: "bg-idle-soft text-idle",
  accent: "bg-accent-soft text-accent-ink",
};
const DOTS: Record<Tone, string> = {
  good: "bg-good-mark",
  warn: "bg-warn-mark",
  bad: "bg-bad-mark",
  info: "bg-info-mark",
  idle: "bg-idle-mark",
  accent: "bg-accent",
};

export function Badge({ tone = "idle", dot, children, className }: { tone?: Tone; dot?: boolean; children: ReactNode; className?: string }) {
  return (
    <span className={classes("inline-flex h-5 items-center gap-1.5 rounded-full px-2 text-2xs font-medium whitespace-nowrap", SOFT[tone], className)}>
      {dot && <Dot tone={tone} />}
      {children}
    </span>
  );
}

export function Dot({ tone, className }: { tone: Tone; className?: string }) {
  return <span aria-hidden className={classes("size-1.5 shrink-0 rounded-full", DOTS[tone], className)} />;
}
