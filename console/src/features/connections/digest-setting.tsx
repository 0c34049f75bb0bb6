// Whether events are gathered into one message.
import { useState } from "react";

import { Checkbox, Field } from "@/components/field";
import type { SettingProps } from "./delivery-settings";
import { Setting } from "./setting";

export function DigestSetting({ connection, mayChange }: SettingProps) {
  const now = connection.digest_minutes ?? null;
  const [isOn, setOn] = useState(now !== null);
  const [minutes, setMinutes] = useState(String(now ?? 15));
  const digest = isOn ? Number(minutes) : null;
  return (
    <Setting title="Digest" about="One message for all that came in so many minutes. Critical events are sent at once." connection={connection} mayChange={mayChange} isChanged={digest !== now} patch={{ digest_minutes: digest }}>
      <Checkbox label="Gather events" checked={isOn} onChange={(event) => setOn(event.target.checked)} />
      {isOn && <Field className="mt-3 max-w-40" label="Minutes" type="number" min={1} max={1_440} required value={minutes} onChange={(event) => setMinutes(event.target.value)} />}
    </Setting>
  );
}
