// Filters as a row of small buttons: each says what it is set to, opens to be changed, and can be taken off.
import { Check, CirclePlus, X } from "lucide-react";
import { useState, type FormEvent, type ReactNode } from "react";

import { classes } from "@/lib/classes";
import { fromLocalField, periodLabel, RANGES, toLocalField, type Period } from "@/lib/period";
import { Button } from "./button";
import { Field } from "./field";
import { Popover } from "./popover";

/** The button itself; what it opens is given the way to close it. */
function Pill({ label, value, onClear, children }: {
  label: string;
  value: string | null;
  onClear: () => void;
  children: (close: () => void) => ReactNode;
}) {
  const [isOpen, setOpen] = useState(false);
  const isSet = value !== null;
  const trigger = (
    <button
      type="button"
      className={classes(
        "inline-flex h-7 max-w-64 items-center gap-1.5 px-2.5 text-xs font-medium transition-colors",
        isSet ? "rounded-l-full pr-1.5" : "rounded-full text-muted hover:text-ink",
      )}
    >
      {!isSet && <CirclePlus className="size-3.5 shrink-0" aria-hidden />}
      <span className="shrink-0">{label}</span>
      {isSet && (
        <span dir="auto" title={value} className="foreign truncate text-accent-ink">
          {value}
        </span>
      )}
    </button>
  );
  return (
    <span
      className={classes(
        "inline-flex items-center rounded-full border bg-surface",
        isSet ? "border-line shadow-card" : "border-dashed border-line-strong/60 hover:border-line-strong",
      )}
    >
      <Popover trigger={trigger} label={`Filter by ${label.toLowerCase()}`} isOpen={isOpen} onOpenChange={setOpen}>
        {children(() => setOpen(false))}
      </Popover>
      {isSet && (
        <button
          type="button"
          aria-label={`Take off the filter ${label.toLowerCase()}`}
          title="Take off"
          onClick={onClear}
          className="mr-1 grid size-5 place-items-center rounded-full text-muted hover:bg-raised hover:text-ink"
        >
          <X className="size-3" aria-hidden />
        </button>
      )}
    </span>
  );
}

/** A text that has to be the same as a field. */
export function TextPill({ label, value, onChange, hint }: {
  label: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
  hint?: string;
}) {
  return (
    <Pill label={label} value={value ?? null} onClear={() => onChange(undefined)}>
      {(close) => (
        <form
          className="space-y-3 p-3"
          onSubmit={(event: FormEvent<HTMLFormElement>) => {
            event.preventDefault();
            const typed = String(new FormData(event.currentTarget).get("value") ?? "").trim();
            onChange(typed === "" ? undefined : typed);
            close();
          }}
        >
          <Field label={label} hint={hint} name="value" defaultValue={value} autoComplete="off" />
          <div className="flex justify-end">
            <Button look="primary" size="sm" type="submit">
              Apply
            </Button>
          </div>
        </form>
      )}
    </Pill>
  );
}

export interface Option {
  value: string;
  label: string;
  icon?: ReactNode;
  /** Beside it, in grey. */
  more?: string;
}

/** One of several; with a field to search when there are many. */
export function ChoicePill({ label, value, onChange, options, canType = false }: {
  label: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
  options: readonly Option[];
  /** Whether a value that is not listed can be typed. */
  canType?: boolean;
}) {
  const chosen = options.find((one) => one.value === value);
  return (
    <Pill label={label} value={value === undefined ? null : (chosen?.label ?? value)} onClear={() => onChange(undefined)}>
      {(close) => (
        <Choices
          label={label}
          value={value}
          options={options}
          canType={canType}
          onChoose={(next) => {
            onChange(next);
            close();
          }}
        />
      )}
    </Pill>
  );
}

function Choices({ label, value, options, canType, onChoose }: {
  label: string;
  value: string | undefined;
  options: readonly Option[];
  canType: boolean;
  onChoose: (value: string) => void;
}) {
  const [search, setSearch] = useState("");
  const wanted = search.trim().toLowerCase();
  const found = options.filter((one) => `${one.label} ${one.value} ${one.more ?? ""}`.toLowerCase().includes(wanted));
  const typed = canType && wanted !== "" && !options.some((one) => one.value === search.trim()) ? search.trim() : null;
  return (
    <div className="p-1.5">
      {(options.length > 8 || canType) && (
        <div className="p-1.5">
          <Field
            label={`Search: ${label}`}
            isLabelHidden
            placeholder={canType ? "Search, or type another" : "Search"}
            value={search}
            onChange={(event) => setSearch(event.target.value)}
            autoComplete="off"
          />
        </div>
      )}
      <ul className="max-h-72 overflow-y-auto" aria-label={label}>
        {typed && <ChoiceRow option={{ value: typed, label: `“${typed}”` }} isChosen={false} onChoose={onChoose} />}
        {found.slice(0, 200).map((one) => (
          <ChoiceRow key={one.value} option={one} isChosen={one.value === value} onChoose={onChoose} />
        ))}
      </ul>
      {found.length === 0 && !typed && <p className="px-2 py-3 text-sm text-muted">Nothing is called so.</p>}
    </div>
  );
}

function ChoiceRow({ option, isChosen, onChoose }: { option: Option; isChosen: boolean; onChoose: (value: string) => void }) {
  return (
    <li>
      <button
        type="button"
        aria-pressed={isChosen}
        onClick={() => onChoose(option.value)}
        title={option.label}
        className={classes("flex w-full items-center gap-2 rounded-md px-2 py-1.5 text-left text-sm hover:bg-raised", isChosen && "font-medium text-accent-ink")}
      >
        {option.icon}
        <span dir="auto" className="foreign min-w-0 flex-1 truncate">
          {option.label}
        </span>
        {option.more && <span className="shrink-0 text-xs text-faint">{option.more}</span>}
        {isChosen && <Check className="size-3.5 shrink-0" aria-hidden />}
      </button>
    </li>
  );
}

/** A period: by name, or from and to. */
export function PeriodPill({ period, onChange }: { period: Period; onChange: (period: Period) => void }) {
  const isSet = Boolean(period.range ?? period.since ?? period.until);
  return (
    <Pill label="Time" value={isSet ? periodLabel(period) : null} onClear={() => onChange({})}>
      {(close) => (
        <div className="p-1.5">
          <ul aria-label="Ranges">
            {RANGES.map((range) => (
              <ChoiceRow
                key={range.name}
                option={{ value: range.name, label: range.label }}
                isChosen={period.range === range.name}
                onChoose={() => {
                  onChange({ range: range.name });
                  close();
                }}
              />
            ))}
          </ul>
          <form
            className="mt-1.5 space-y-2.5 border-t border-line p-2 pt-3"
            onSubmit={(event: FormEvent<HTMLFormElement>) => {
              event.preventDefault();
              const typed = new FormData(event.currentTarget);
              onChange({
                since: fromLocalField(String(typed.get("since") ?? "")),
                until: fromLocalField(String(typed.get("until") ?? "")),
              });
              close();
            }}
          >
            <Field label="From" type="datetime-local" name="since" defaultValue={toLocalField(period.since)} />
            <Field label="Until" type="datetime-local" name="until" defaultValue={toLocalField(period.until)} />
            <div className="flex justify-end">
              <Button size="sm" type="submit">
                Apply
              </Button>
            </div>
          </form>
        </div>
      )}
    </Pill>
  );
}
