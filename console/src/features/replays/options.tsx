// How a replay is to be done: with which settings of the connections, how fast, and why.
import { Field, Select } from "@/components/field";
import { RATE_MAX, type Configuration, type FormErrors, type ReplayForm } from "@/lib/replay";

export type Options = Pick<ReplayForm, "configuration" | "rate" | "reason">;

const CONFIGURATIONS: { value: Configuration; label: string; hint: string }[] = [
  { value: "current", label: "As they are now", hint: "Addresses, destinations and headers of today." },
  { value: "original", label: "As they were then", hint: "Address and destination as of the last attempt. Secrets are today’s." },
];

export function ReplayOptions({ options, errors, onChange }: { options: Options; errors: FormErrors; onChange: (change: Partial<Options>) => void }) {
  const chosen = CONFIGURATIONS.find((one) => one.value === options.configuration);
  return (
    <div className="grid gap-4 sm:grid-cols-2">
      <Select
        label="Settings of the connections"
        hint={chosen?.hint}
        choices={CONFIGURATIONS.map(({ value, label }) => ({ value, label }))}
        value={options.configuration}
        onChange={(change) => onChange({ configuration: change.target.value === "original" ? "original" : "current" })}
      />
      <Field
        label="Deliveries per second"
        hint="Live events go first at any rate."
        mistake={errors.rate}
        type="number"
        inputMode="numeric"
        min={1}
        max={RATE_MAX}
        value={options.rate}
        onChange={(change) => onChange({ rate: change.target.value })}
      />
      <Field
        className="sm:col-span-2"
        label="Reason"
        hint="Kept in the log with your name. You may leave it empty."
        maxLength={500}
        value={options.reason}
        onChange={(change) => onChange({ reason: change.target.value })}
      />
    </div>
  );
}
