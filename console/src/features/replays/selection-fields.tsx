// Which deliveries a replay takes: what failed, what was missed, or whatever filters name.
import { useEventTypes, useProviderLabel } from "@/api/catalogue";
import { useConnections } from "@/api/connections";
import { useOrganization } from "@/app/organization";
import { Checkbox, Field, Select } from "@/components/field";
import { classes } from "@/lib/classes";
import { fromLocalField, toLocalField } from "@/lib/period";
import { REPLAYABLE, type FormErrors, type Mode, type ReplayForm } from "@/lib/replay";
import { humanise } from "@/lib/text";
import { errorClass, KNOWN_ERROR_CLASSES } from "@/lib/words";

const MODES: { mode: Mode; label: string; about: string }[] = [
  { mode: "failed", label: "What failed", about: "Deliveries that were given up." },
  { mode: "missed", label: "What was missed", about: "Skipped while a connection was paused, disabled or in error." },
  { mode: "filter", label: "By filter", about: "Any deliveries, by their status and more." },
];

interface Props {
  form: ReplayForm;
  errors: FormErrors;
  onChange: (change: Partial<ReplayForm>) => void;
}

export function SelectionFields({ form, errors, onChange }: Props) {
  return (
    <div className="space-y-5">
      <fieldset>
        <legend className="sr-only">Which deliveries</legend>
        <div className="grid gap-2 sm:grid-cols-3">
          {MODES.map(({ mode, label, about }) => (
            <label
              key={mode}
              className={classes(
                "flex cursor-pointer gap-2.5 rounded-lg border p-3 transition-colors has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent",
                form.mode === mode ? "border-accent bg-accent-soft" : "border-line hover:bg-raised",
              )}
            >
              <input type="radio" name="mode" value={mode} checked={form.mode === mode} onChange={() => onChange({ mode })} className="mt-0.5 size-4 shrink-0 outline-none" />
              <span>
                <span className="block text-sm font-medium">{label}</span>
                <span className="block text-xs text-muted">{about}</span>
              </span>
            </label>
          ))}
        </div>
      </fieldset>
      {form.mode === "filter" && <Statuses form={form} errors={errors} onChange={onChange} />}
      <div className="grid gap-4 sm:grid-cols-2">
        <Field
          label={form.mode === "failed" ? "Failed since" : form.mode === "missed" ? "Missed since" : "Promised from"}
          mistake={errors.since}
          type="datetime-local"
          value={toLocalField(form.since)}
          onChange={(change) => onChange({ since: fromLocalField(change.target.value) })}
        />
        <Field
          label={form.mode === "filter" ? "Promised before" : "Promised before, if it matters"}
          mistake={errors.until}
          type="datetime-local"
          value={toLocalField(form.until)}
          onChange={(change) => onChange({ until: fromLocalField(change.target.value) })}
        />
      </div>
      <Narrowing form={form} onChange={onChange} />
    </div>
  );
}

function Statuses({ form, errors, onChange }: Props) {
  return (
    <fieldset>
      <legend className="mb-1.5 text-xs font-medium text-muted">Status</legend>
      <div className="flex flex-wrap gap-x-5 gap-y-2">
        {REPLAYABLE.map((status) => (
          <Checkbox
            key={status}
            label={humanise(status)}
            checked={form.status.includes(status)}
            onChange={() => onChange({ status: form.status.includes(status) ? form.status.filter((one) => one !== status) : [...form.status, status] })}
          />
        ))}
      </div>
      {errors.status && (
        <p role="alert" className="mt-1 text-xs text-bad">
          {errors.status}
        </p>
      )}
    </fieldset>
  );
}

function Narrowing({ form, onChange }: Omit<Props, "errors">) {
  const { id: org } = useOrganization();
  const connections = useConnections(org).data ?? [];
  const kinds = useEventTypes().data ?? [];
  const labelOf = useProviderLabel();
  const any = { value: "", label: "Any" };
  const providers = [...new Set(connections.map((one) => one.provider))].sort();
  return (
    <div className="grid gap-4 sm:grid-cols-2">
      <Select
        label="Connection"
        choices={[any, ...connections.map((one) => ({ value: one.id, label: one.display_name || labelOf(one.provider) }))]}
        value={form.connection_id}
        onChange={(change) => onChange({ connection_id: change.target.value })}
      />
      <Select
        label="Provider"
        choices={[any, ...providers.map((one) => ({ value: one, label: labelOf(one) }))]}
        value={form.provider}
        onChange={(change) => onChange({ provider: change.target.value })}
      />
      <Select
        label="Kind of event"
        choices={[any, ...kinds.map((one) => ({ value: one.type, label: one.type }))]}
        value={form.event}
        onChange={(change) => onChange({ event: change.target.value })}
      />
      <Select
        label="Last error"
        choices={[any, ...KNOWN_ERROR_CLASSES.map((one) => ({ value: one, label: errorClass(one) }))]}
        value={form.error_class}
        onChange={(change) => onChange({ error_class: change.target.value })}
      />
      <Field label="Subject" hint="Whole, as the event has it." className="sm:col-span-2" value={form.subject} onChange={(change) => onChange({ subject: change.target.value })} autoComplete="off" />
    </div>
  );
}
