// Connections that were removed: their names lead to what is left of them.
import { ChevronRight } from "lucide-react";
import { useState } from "react";
import { Link } from "react-router";

import { useProviderLabel } from "@/api/catalogue";
import { useConnections } from "@/api/connections";
import { useOrganization, useOrganizationPath } from "@/app/organization";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { iconUrlOf } from "@/lib/destination";
import { ProviderIcon } from "./provider-icon";

export function RemovedList() {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className="group" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className="inline-flex list-none items-center gap-1 rounded text-sm text-muted hover:text-ink">
        <ChevronRight className="size-4 transition-transform group-open:rotate-90" aria-hidden />
        Removed connections
      </summary>
      {isOpen && <Removed />}
    </details>
  );
}

function Removed() {
  const { id: org } = useOrganization();
  const path = useOrganizationPath();
  const label = useProviderLabel();
  const query = useConnections(org, { removed: true });
  return (
    <Loaded query={query} lines={2}>
      {(all) =>
        all.length === 0 ? (
          <p className="py-3 text-sm text-muted">None was removed.</p>
        ) : (
          <ul className="mt-2 divide-y divide-line rounded-xl border border-line bg-surface">
            {all.map((one) => (
              <li key={one.id} className="flex items-center gap-3 px-4 py-2 text-sm">
                <ProviderIcon provider={one.provider} iconUrl={iconUrlOf(one.metadata)} size="sm" />
                <Link to={path(`connections/${one.id}`)} dir="auto" className="foreign min-w-0 truncate font-medium hover:underline">
                  {one.display_name}
                </Link>
                <span className="text-xs text-faint">{label(one.provider)}</span>
                <span className="ml-auto shrink-0 text-xs text-muted">
                  removed <Time at={one.updated_at} />
                </span>
              </li>
            ))}
          </ul>
        )
      }
    </Loaded>
  );
}
