// A framed part of a page, with or without a head.
import type { ReactNode } from "react";

import { classes } from "@/lib/classes";

export function Card({ title, about, actions, children, className, isFlush }: {
  title?: ReactNode;
  about?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  className?: string;
  /** Without room at the sides, for tables. */
  isFlush?: boolean;
}) {
  return (
    <section className={classes("min-w-0 rounded-xl border border-line bg-surface shadow-card", className)}>
      {(title || actions) && (
        <header className="flex flex-wrap items-center gap-x-4 gap-y-2 border-b border-line px-4 py-3">
          <div className="min-w-0 flex-1">
            {title && <h2 className="foreign text-sm font-semibold">{title}</h2>}
            {about && <p className="mt-0.5 text-xs text-muted">{about}</p>}
          </div>
          {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
        </header>
      )}
      <div className={isFlush ? "" : "p-4"}>{children}</div>
    </section>
  );
}

/** One figure with its name. */
export function Figure({ label, value, more, tone }: { label: ReactNode; value: ReactNode; more?: ReactNode; tone?: "bad" | "warn" | "good" }) {
  const colour = tone === "bad" ? "text-bad" : tone === "warn" ? "text-warn" : tone === "good" ? "text-good" : "";
  return (
    <div className="min-w-0">
      <dt className="text-xs text-muted">{label}</dt>
      <dd className={classes("tabular mt-0.5 text-xl font-semibold tracking-tight", colour)}>{value}</dd>
      {more && <dd className="mt-0.5 text-xs text-faint">{more}</dd>}
    </div>
  );
}

/** Names and values, one below the other. */
export function Facts({ items }: { items: [ReactNode, ReactNode][] }) {
  return (
    <dl className="grid grid-cols-[minmax(7rem,auto)_1fr] gap-x-6 gap-y-2 text-sm">
      {items.map(([name, value], at) => (
        <div key={at} className="contents">
          <dt className="text-muted">{name}</dt>
          <dd className="foreign min-w-0">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
