// How fast a connection is sent to at most.
import { useState } from "react";

import { Checkbox, Field } from "@/components/field";
import { same } from "@/lib/same";
import type { SettingProps } from "./delivery-settings";
import { Setting } from "./setting";

export function RateSetting({ connection, mayChange }: SettingProps) {
  const now = connection.rate_limit;
  const [isOn, setOn] = useState(Boolean(now));
  const [count, setCount] = useState(String(now?.count ?? 10));
  const [seconds, setSeconds] = useState(String(now?.seconds ?? 1));
  const limit = isOn ? { count: Number(count), seconds: Number(seconds) } : null;
  const isChanged = !same(limit, now ?? null);
  return (
    <Setting title="Rate limit" about="Beside the provider's own pace, which it cannot exceed." connection={connection} mayChange={mayChange} isChanged={isChanged} patch={{ rate_limit: limit }}>
      <Checkbox label="Send at most so many requests" checked={isOn} onChange={(event) => setOn(event.target.checked)} />
      {isOn && (
        <div className="mt-3 grid max-w-sm grid-cols-2 gap-3">
          <Field label="Requests" type="number" min={1} max={100_000} required value={count} onChange={(event) => setCount(event.target.value)} />
          <Field label="In seconds" type="number" min={1} max={3_600} required value={seconds} onChange={(event) => setSeconds(event.target.value)} />
        </div>
      )}
    </Setting>
  );
}
