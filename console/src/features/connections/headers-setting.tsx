// Headers that a webhook's requests carry beside ours. Their values are secrets: they are written, and never read.
import { Plus, X } from "lucide-react";
import { useState } from "react";

import { Button, IconButton } from "@/components/button";
import { Field } from "@/components/field";
import { classes } from "@/lib/classes";
import type { SettingProps } from "./delivery-settings";
import { Setting } from "./setting";

interface Added {
  name: string;
  value: string;
}

export function HeadersSetting({ connection, mayChange }: SettingProps) {
  const [removed, setRemoved] = useState<string[]>([]);
  const [added, setAdded] = useState<Added[]>([]);
  const complete = added.filter((header) => header.name.trim() && header.value);
  const headers = Object.fromEntries([...removed.map((name) => [name, null] as const), ...complete.map(({ name, value }) => [name.trim(), value] as const)]);
  const set = (at: number, part: Partial<Added>) => setAdded(added.map((header, other) => (other === at ? { ...header, ...part } : header)));
  return (
    <Setting
      title="Headers"
      about="Sent with each request. Values are sealed, and never shown again."
      connection={connection}
      mayChange={mayChange}
      isChanged={removed.length + added.length > 0}
      patch={Object.keys(headers).length > 0 && complete.length === added.length ? { headers } : null}
    >
      <ul className="space-y-1">
        {connection.header_names.map((name) => {
          const isGone = removed.includes(name);
          return (
            <li key={name} className="flex items-center gap-3 text-sm">
              <span className={classes("foreign min-w-0 flex-1 font-mono text-xs", isGone && "text-faint line-through")}>{name}</span>
              <span className="text-xs text-faint" aria-label="a hidden value">
                •••
              </span>
              {mayChange && (
                <Button size="sm" look="quiet" onClick={() => setRemoved(isGone ? removed.filter((one) => one !== name) : [...removed, name])}>
                  {isGone ? "Keep" : "Remove"}
                </Button>
              )}
            </li>
          );
        })}
        {connection.header_names.length === 0 && added.length === 0 && <li className="text-sm text-muted">None beside ours.</li>}
      </ul>
      {added.map((header, at) => (
        <div key={at} className="mt-2 flex items-end gap-2">
          <Field className="flex-1" label="Name" maxLength={100} autoComplete="off" placeholder="X-Team" value={header.name} onChange={(event) => set(at, { name: event.target.value })} />
          <Field className="flex-1" label="Value" type="password" autoComplete="off" value={header.value} onChange={(event) => set(at, { value: event.target.value })} />
          <IconButton label="Take this header away" icon={<X className="size-3.5" aria-hidden />} onClick={() => setAdded(added.filter((_, other) => other !== at))} className="mb-0.5" />
        </div>
      ))}
      {mayChange && (
        <Button size="sm" className="mt-3" icon={<Plus className="size-3.5" aria-hidden />} onClick={() => setAdded([...added, { name: "", value: "" }])}>
          Add a header
        </Button>
      )}
    </Setting>
  );
}
