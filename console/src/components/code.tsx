// Text from machines, as it is and never as markup: JSON is laid out, long texts scroll.
import { useMemo } from "react";

import { classes } from "@/lib/classes";
import { visible } from "@/lib/unseen";
import { Copy } from "./copy";

/** How much is laid out; beyond it the browser would stall. */
const SHOWN_MAX = 200_000;

/** JSON with line breaks; anything else as it came. */
export function laidOut(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export function Code({ text, value, label, className, isRaw }: {
  text?: string | null;
  /** A JSON value in place of a text. */
  value?: unknown;
  /** What it is, for those who cannot see it. */
  label: string;
  className?: string;
  /** Not laid out, even if it is JSON. */
  isRaw?: boolean;
}) {
  const shown = useMemo(() => {
    const given = text ?? (value === undefined ? "" : JSON.stringify(value, null, 2));
    return isRaw || text === undefined || text === null ? given : laidOut(given);
  }, [text, value, isRaw]);
  const isCut = shown.length > SHOWN_MAX;
  return (
    <div className="group relative min-w-0">
      <pre
        tabIndex={0}
        role="region"
        aria-label={label}
        dir="ltr"
        className={classes("max-h-96 overflow-auto rounded-lg border border-line bg-sunken p-3 font-mono text-xs leading-5 whitespace-pre-wrap [overflow-wrap:anywhere]", className)}
      >
        {visible(isCut ? shown.slice(0, SHOWN_MAX) : shown)}
      </pre>
      {isCut && <p className="mt-1 text-xs text-muted">Only the beginning is shown. Copy it to see all.</p>}
      <div className="absolute top-1.5 right-1.5 rounded-md bg-sunken opacity-0 transition-opacity group-focus-within:opacity-100 group-hover:opacity-100">
        <Copy text={text ?? shown} label={`Copy: ${label}`} />
      </div>
    </div>
  );
}
