// Whether deliveries keep the order of their events, and what one that fails does to those behind it.
import { useState } from "react";

import { Field, Select } from "@/components/field";
import { same } from "@/lib/same";
import type { SettingProps } from "./delivery-settings";
import { Setting } from "./setting";
import { ORDERINGS } from "./settings-of";

const CHOICES = [{ value: "", label: "In no order: each on its own" }, ...Object.entries(ORDERINGS).map(([value, label]) => ({ value, label }))];

export function OrderingSetting({ connection, mayChange }: SettingProps) {
  const now = connection.ordering ?? null;
  const [policy, setPolicy] = useState(now?.policy ?? "");
  const [after, setAfter] = useState(String(now?.after ?? 5));
  const ordering = policy ? { policy, ...(policy === "park" ? { after: Number(after) } : {}) } : null;
  const isChanged = !same(ordering, now && { policy: now.policy, ...(now.after ? { after: now.after } : {}) });
  return (
    <Setting title="Order" about="One delivery at a time, in the order in which events were recorded." connection={connection} mayChange={mayChange} isChanged={isChanged} patch={{ ordering }}>
      <div className="space-y-3">
        <Select label="Deliveries are sent" choices={CHOICES} value={policy} onChange={(event) => setPolicy(event.target.value)} />
        {policy === "park" && <Field className="max-w-40" label="Parked after attempts" type="number" min={1} max={20} required value={after} onChange={(event) => setAfter(event.target.value)} />}
      </div>
    </Setting>
  );
}
