// A labelled input with its hint and its mistake; both are tied to it for those who cannot see them.
import { useId, type ComponentPropsWithRef, type ReactNode } from "react";

import { classes } from "@/lib/classes";

/** Without a width: that is the place's. */
export const INPUT = classes(
  "rounded-lg border border-line-strong/70 bg-surface px-2.5 text-sm text-ink shadow-card transition-colors",
  "hover:border-line-strong focus-visible:border-accent aria-invalid:border-bad-mark",
  "disabled:bg-raised disabled:text-muted",
);

interface Around {
  label: ReactNode;
  hint?: ReactNode;
  mistake?: string | null;
  /** The label is there, but only to be read out. */
  isLabelHidden?: boolean;
  className?: string;
}

function useParts({ hint, mistake }: Around) {
  const id = useId();
  const described = [hint ? `${id}-hint` : null, mistake ? `${id}-mistake` : null].filter(Boolean).join(" ");
  return { id, input: { id, "aria-describedby": described || undefined, "aria-invalid": mistake ? true : undefined } };
}

function Frame({ id, label, hint, mistake, isLabelHidden, className, children }: Around & { id: string; children: ReactNode }) {
  return (
    <div className={className}>
      <label htmlFor={id} className={isLabelHidden ? "sr-only" : "mb-1 block text-xs font-medium text-muted"}>
        {label}
      </label>
      {children}
      {hint && (
        <p id={`${id}-hint`} className="mt-1 text-xs text-faint">
          {hint}
        </p>
      )}
      {mistake && (
        <p id={`${id}-mistake`} role="alert" className="mt-1 text-xs text-bad">
          {mistake}
        </p>
      )}
    </div>
  );
}

export function Field({ label, hint, mistake, isLabelHidden, className, ...input }: Around & Omit<ComponentPropsWithRef<"input">, "className">) {
  const around = { label, hint, mistake, isLabelHidden, className };
  const parts = useParts(around);
  return (
    <Frame {...around} id={parts.id}>
      <input dir="auto" {...input} {...parts.input} className={classes(INPUT, "h-8 w-full")} />
    </Frame>
  );
}

export function TextArea({ label, hint, mistake, isLabelHidden, className, isCode, ...input }: Around & Omit<ComponentPropsWithRef<"textarea">, "className"> & { isCode?: boolean }) {
  const around = { label, hint, mistake, isLabelHidden, className };
  const parts = useParts(around);
  return (
    <Frame {...around} id={parts.id}>
      <textarea rows={4} {...input} {...parts.input} className={classes(INPUT, "w-full py-1.5", isCode && "font-mono text-xs")} />
    </Frame>
  );
}

export interface Choice {
  value: string;
  label: string;
}

/** The browser's own list: it works everywhere, with every keyboard. */
export function Select({ label, hint, mistake, isLabelHidden, className, choices, ...input }: Around & Omit<ComponentPropsWithRef<"select">, "className" | "children"> & { choices: Choice[] }) {
  const around = { label, hint, mistake, isLabelHidden, className };
  const parts = useParts(around);
  return (
    <Frame {...around} id={parts.id}>
      <select {...input} {...parts.input} className={classes(INPUT, "h-8 w-full pr-8")}>
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.label}
          </option>
        ))}
      </select>
    </Frame>
  );
}

export function Checkbox({ label, hint, className, ...input }: { label: ReactNode; hint?: ReactNode; className?: string } & Omit<ComponentPropsWithRef<"input">, "type" | "className">) {
  const id = useId();
  return (
    <div className={classes("flex items-start gap-2", className)}>
      <input id={id} type="checkbox" aria-describedby={hint ? `${id}-hint` : undefined} {...input} className="mt-0.5 size-4 shrink-0" />
      <div className="min-w-0">
        <label htmlFor={id} className="text-sm">
          {label}
        </label>
        {hint && (
          <p id={`${id}-hint`} className="text-xs text-faint">
            {hint}
          </p>
        )}
      </div>
    </div>
  );
}
