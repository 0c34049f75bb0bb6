// The kinds of events: all of them, or those that patterns name.
import { Plus, X } from "lucide-react";
import { useId, useMemo, useState, type KeyboardEvent } from "react";

import { useEventTypes } from "@/api/catalogue";
import { Button } from "@/components/button";
import { INPUT } from "@/components/field";
import { classes } from "@/lib/classes";

export function Patterns({ value, onChange }: { value: string[]; onChange: (patterns: string[]) => void }) {
  const { data: types } = useEventTypes();
  const [typed, setTyped] = useState("");
  const id = useId();
  const isAll = value.includes("*");
  const known = useMemo(() => {
    const names = (types ?? []).map((type) => type.type);
    const families = [...new Set(names.filter((name) => name.includes(".")).map((name) => `${name.split(".")[0]}.*`))];
    return [...families, ...names];
  }, [types]);
  const add = (pattern: string) => {
    const plain = pattern.trim();
    if (plain && !value.includes(plain)) onChange(plain === "*" ? ["*"] : [...value.filter((one) => one !== "*"), plain]);
    setTyped("");
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    add(typed);
  };
  return (
    <section aria-label="Kinds of events" className="min-w-0">
      <h3 className="mb-2 text-xs font-medium text-muted">Kinds of events</h3>
      <div role="radiogroup" aria-label="Which kinds" className="flex flex-wrap gap-x-5 gap-y-2 text-sm">
        <label className="flex items-center gap-2">
          <input type="radio" name={id} checked={isAll} onChange={() => onChange(["*"])} className="size-4" />
          All events
        </label>
        <label className="flex items-center gap-2">
          <input type="radio" name={id} checked={!isAll} onChange={() => onChange(known[0] ? [known[0]] : [])} className="size-4" />
          Only these
        </label>
      </div>
      {!isAll && (
        <>
          <ul className="mt-3 flex flex-wrap gap-1.5">
            {value.map((pattern) => (
              <li key={pattern} className="inline-flex max-w-full items-center gap-1 rounded-md bg-accent-soft py-0.5 pr-0.5 pl-2 font-mono text-xs text-accent-ink">
                <span className="foreign truncate">{pattern}</span>
                <button type="button" aria-label={`Take ${pattern} away`} onClick={() => onChange(value.filter((one) => one !== pattern))} className="rounded p-0.5 hover:bg-surface">
                  <X className="size-3" aria-hidden />
                </button>
              </li>
            ))}
            {value.length === 0 && <li className="text-sm text-bad">Add at least one.</li>}
          </ul>
          <div className="mt-2 flex max-w-md gap-2">
            <input
              aria-label="Kind or pattern"
              list={`${id}-known`}
              placeholder="vulnerability.*"
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
              onKeyDown={onKey}
              className={classes(INPUT, "h-8 w-full font-mono text-xs")}
            />
            <datalist id={`${id}-known`}>
              {known.map((name) => (
                <option key={name} value={name} />
              ))}
            </datalist>
            <Button icon={<Plus className="size-3.5" aria-hidden />} disabled={!typed.trim()} onClick={() => add(typed)}>
              Add
            </Button>
          </div>
        </>
      )}
    </section>
  );
}
