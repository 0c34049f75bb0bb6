// How a connection stood at an instant, with what is different now.
import { useConnectionAsOf, type Connection } from "@/api/connections";
import { useOrganization } from "@/app/organization";
import { Badge } from "@/components/badge";
import { Drawer } from "@/components/dialog";
import { Loaded } from "@/components/states";
import { classes } from "@/lib/classes";
import { instant } from "@/lib/format";
import { settingsOf } from "./settings-of";

export function AsOf({ id, current: nowThere, at, onClose }: { id: string; current: Connection | null; at: string; onClose: () => void }) {
  const { id: org } = useOrganization();
  const query = useConnectionAsOf(org, id, at);
  const now = nowThere && new Map(settingsOf(nowThere));
  return (
    <Drawer isOpen onClose={onClose} title="How it stood then" about={instant(at)}>
      <Loaded query={query}>
        {(then) => (
          <dl className="divide-y divide-line text-sm">
            {settingsOf(then).map(([name, value]) => {
              const current = now?.get(name);
              const isOther = now !== null && current !== value;
              return (
                <div key={name} className="grid grid-cols-[9rem_1fr] gap-4 py-2">
                  <dt className="text-muted">{name}</dt>
                  <dd className="min-w-0">
                    <span dir="auto" className={classes("foreign block whitespace-pre-wrap", value.includes("\n") && "font-mono text-xs")}>
                      {value || "–"}
                    </span>
                    {isOther && (
                      <span className="mt-1 flex flex-wrap items-start gap-2 text-xs text-muted">
                        <Badge tone="accent">Now</Badge>
                        <span dir="auto" className="foreign min-w-0 flex-1 pt-px whitespace-pre-wrap">{current || "–"}</span>
                      </span>
                    )}
                  </dd>
                </div>
              );
            })}
          </dl>
        )}
      </Loaded>
    </Drawer>
  );
}
