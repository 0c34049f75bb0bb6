// When what failed is tried again.
import { useState } from "react";

import { Checkbox, TextArea } from "@/components/field";
import { plural, span } from "@/lib/format";
import { DEFAULT_SCHEDULE, readSchedule, writeSchedule } from "@/lib/schedule";
import { same } from "@/lib/same";
import type { SettingProps } from "./delivery-settings";
import { Setting } from "./setting";

export function RetrySetting({ connection, mayChange }: SettingProps) {
  const now = connection.retry_schedule ?? null;
  const [isOwn, setOwn] = useState(now !== null);
  const [text, setText] = useState(writeSchedule(now ?? DEFAULT_SCHEDULE));
  const read = readSchedule(text);
  const mistake = "mistake" in read ? read.mistake : null;
  const schedule = isOwn && "waits" in read ? read.waits : null;
  const isChanged = !same(isOwn ? schedule : null, now);
  const waits = isOwn ? (schedule ?? []) : DEFAULT_SCHEDULE;
  const total = waits.reduce((sum, wait) => sum + wait, 0);
  return (
    <Setting title="Retries" about="How long to wait after each attempt that failed." connection={connection} mayChange={mayChange} isChanged={isChanged} patch={isOwn && mistake ? null : { retry_schedule: schedule }}>
      <Checkbox label="A schedule of its own" checked={isOwn} onChange={(event) => setOwn(event.target.checked)} />
      {isOwn && <TextArea className="mt-3" label="Waits" isCode rows={2} value={text} onChange={(event) => setText(event.target.value)} mistake={mistake} hint="At most 20, such as 5 s, 2 min, 1 h. Empty: one attempt only." />}
      {!mistake && (
        <p className="mt-3 text-xs text-muted">
          {plural(waits.length + 1, "attempt")}
          {waits.length > 0 && `, the last one about ${span(total * 1000)} after the first`}. {!isOwn && writeSchedule(waits)}
        </p>
      )}
    </Setting>
  );
}
