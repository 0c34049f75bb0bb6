// Conditions on the events: a list of tests where one will do, JSON for everything else.
import { Braces, ListChecks, Plus, X } from "lucide-react";
import { useId } from "react";

import { Button, IconButton } from "@/components/button";
import { INPUT, TextArea } from "@/components/field";
import { classes } from "@/lib/classes";
import { flatten, OPERATOR_LABELS, OPERATORS, type Flat, type Operator, type Test } from "@/lib/conditions";
import { conditionOf, type Draft } from "./subscription";

const FIELDS = ["severity", "priority", "event", "source", "subject", "project_id", "team_id", "data.package", "data.project", "data.vulnerability_id", "data.cvss_score"];

export function Conditions({ draft, onChange }: { draft: Draft; onChange: (draft: Draft) => void }) {
  const condition = conditionOf(draft);
  const asJson = () => onChange({ as: "json", text: condition === null ? "" : JSON.stringify(condition, null, 2) });
  const flat = draft.as === "json" && condition !== undefined ? flatten(condition) : null;
  return (
    <section aria-label="Conditions" className="min-w-0">
      <div className="mb-2 flex items-center gap-2">
        <h3 className="flex-1 text-xs font-medium text-muted">Conditions</h3>
        {draft.as === "list" ? (
          <Button look="quiet" size="sm" icon={<Braces className="size-3.5" aria-hidden />} onClick={asJson}>
            As JSON
          </Button>
        ) : (
          <Button look="quiet" size="sm" disabled={!flat} icon={<ListChecks className="size-3.5" aria-hidden />} onClick={() => flat && onChange({ as: "list", flat })}>
            As a list
          </Button>
        )}
      </div>
      {draft.as === "list" ? (
        <Tests flat={draft.flat} onChange={(next) => onChange({ as: "list", flat: next })} />
      ) : (
        <TextArea
          label="Conditions as JSON"
          isLabelHidden
          isCode
          rows={10}
          spellCheck={false}
          placeholder={'{ "field": "severity", "at_least": "high" }'}
          value={draft.text}
          onChange={(event) => onChange({ as: "json", text: event.target.value })}
          mistake={condition === undefined ? "This is not JSON yet." : null}
          hint="all, any and not can hold each other; empty means none."
        />
      )}
    </section>
  );
}

function Tests({ flat, onChange }: { flat: Flat; onChange: (flat: Flat) => void }) {
  const { mode, tests } = flat;
  const id = useId();
  const set = (at: number, part: Partial<Test>) => onChange({ mode, tests: tests.map((test, other) => (other === at ? { ...test, ...part } : test)) });
  const add = () => onChange({ mode, tests: [...tests, { field: "severity", operator: "at_least", value: "high" }] });
  return (
    <div className="space-y-2">
      {tests.length === 0 && <p className="text-sm text-muted">None: every event of these kinds.</p>}
      {tests.length > 1 && (
        <label className="flex items-center gap-2 text-sm text-muted">
          Events for which
          <select aria-label="How many must hold" value={mode} onChange={(event) => onChange({ mode: event.target.value as Flat["mode"], tests })} className={classes(INPUT, "h-7 pr-7")}>
            <option value="all">all</option>
            <option value="any">any</option>
          </select>
          of these hold:
        </label>
      )}
      <datalist id={`${id}-fields`}>
        {FIELDS.map((field) => (
          <option key={field} value={field} />
        ))}
      </datalist>
      {tests.map((test, at) => (
        <div key={at} className="flex flex-wrap items-start gap-2">
          <input aria-label={`Field ${at + 1}`} list={`${id}-fields`} value={test.field} onChange={(event) => set(at, { field: event.target.value })} className={classes(INPUT, "h-8 w-40 font-mono text-xs")} />
          <select aria-label={`Test ${at + 1}`} value={test.operator} onChange={(event) => set(at, { operator: event.target.value as Operator })} className={classes(INPUT, "h-8 w-40 pr-7")}>
            {OPERATORS.map((operator) => (
              <option key={operator} value={operator}>
                {OPERATOR_LABELS[operator]}
              </option>
            ))}
          </select>
          <Value test={test} at={at} onChange={(value) => set(at, { value })} />
          <IconButton label={`Take test ${at + 1} away`} icon={<X className="size-3.5" aria-hidden />} onClick={() => onChange({ mode, tests: tests.filter((_, other) => other !== at) })} className="mt-0.5" />
        </div>
      ))}
      <Button size="sm" icon={<Plus className="size-3.5" aria-hidden />} onClick={add}>
        Add a condition
      </Button>
    </div>
  );
}

const LEVELS = ["info", "low", "medium", "high", "critical"];
const PRIORITIES = ["low", "normal", "high", "critical"];

function Value({ test, at, onChange }: { test: Test; at: number; onChange: (value: string) => void }) {
  const label = `Value ${at + 1}`;
  const style = classes(INPUT, "min-w-28 flex-1");
  if (test.operator === "exists") {
    return (
      <select aria-label={label} value={test.value === "false" ? "false" : "true"} onChange={(event) => onChange(event.target.value)} className={classes(style, "h-8 pr-7")}>
        <option value="true">yes</option>
        <option value="false">no</option>
      </select>
    );
  }
  if (test.operator === "at_least") {
    const levels = test.field === "priority" ? PRIORITIES : LEVELS;
    return (
      <select aria-label={label} value={test.value} onChange={(event) => onChange(event.target.value)} className={classes(style, "h-8 pr-7")}>
        {!levels.includes(test.value) && <option value={test.value}>{test.value || "choose"}</option>}
        {levels.map((level) => (
          <option key={level} value={level}>
            {level}
          </option>
        ))}
      </select>
    );
  }
  if (test.operator === "in") {
    return <textarea aria-label={label} rows={3} value={test.value} placeholder="One value on each line" onChange={(event) => onChange(event.target.value)} className={classes(style, "py-1.5 font-mono text-xs")} />;
  }
  return <input aria-label={label} value={test.value} onChange={(event) => onChange(event.target.value)} className={classes(style, "h-8 font-mono text-xs")} />;
}
