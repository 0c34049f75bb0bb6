// One kind of integrations: what is connected as a table, and a button for each service that can be added.
import { Bell, GitBranch, Pencil, Ticket, Trash2 } from "lucide-react";
import { useMemo } from "react";
import { Link } from "react-router";

import { useProviderLabel, type Category, type Provider } from "@/api/catalogue";
import type { ConnectionSummary, useConnections } from "@/api/connections";
import { useOrganization, useOrganizationPath } from "@/app/organization";
import { Badge } from "@/components/badge";
import { IconButton } from "@/components/button";
import { Card } from "@/components/card";
import { EmptyState, Loaded } from "@/components/states";
import { Table, type Columns } from "@/components/table";
import { destinationOf, iconUrlOf, isCustom, shortAddress } from "@/lib/destination";
import { Standing } from "@/features/connections/standing";
import { AddButton } from "./add-button";
import { ProviderIcon } from "./provider-icon";
import { SecretRow, type Shown } from "./secret";
import type { CustomWish } from "./custom-dialog";

const ICONS = { ci_cd: GitBranch, notification: Bell, ticketing: Ticket };

export function CategoryCard({ category, providers, connections, secrets, onSecretRead, onCustom, onRemove }: {
  category: { id: Category; label: string; about: string };
  providers: Provider[];
  connections: ReturnType<typeof useConnections>;
  secrets: Record<string, Shown>;
  onSecretRead: (id: string) => void;
  onCustom: (wish: CustomWish) => void;
  onRemove: (connection: ConnectionSummary) => void;
}) {
  const { mayManage } = useOrganization();
  const path = useOrganizationPath();
  const Icon = ICONS[category.id];
  const ids = useMemo(() => new Set(providers.map((provider) => provider.id)), [providers]);
  const columns = useColumns(onCustom, onRemove);
  const add = mayManage && providers.map((provider) => <AddButton key={provider.id} provider={provider} onCustom={onCustom} />);
  const title = (
    <span className="flex items-center gap-2">
      <Icon className="size-4 text-muted" aria-hidden />
      {category.label}
    </span>
  );
  // A connection that was just made is not in the list yet, nor ever where the list cannot be read.
  const homeless = Object.entries(secrets).filter(([id, { provider }]) => ids.has(provider) && !connections.data?.some((one) => one.id === id));
  return (
    <Card isFlush title={title} about={category.about} actions={add}>
      {homeless.map(([id, shown]) => (
        <div key={id} className="border-b border-line px-4 py-3">
          <p dir="auto" className="foreign mb-2 text-sm font-medium">
            {shown.name}
          </p>
          <SecretRow shown={shown} onDone={() => onSecretRead(id)} />
        </div>
      ))}
      <Loaded query={connections} lines={2}>
        {(all) => (
          <Table
            label={category.label}
            columns={columns}
            rows={all.filter((one) => ids.has(one.provider))}
            rowId={(one) => one.id}
            rowHref={(one) => path(`connections/${one.id}`)}
            below={(one) => secrets[one.id] && <SecretRow shown={secrets[one.id]!} onDone={() => onSecretRead(one.id)} />}
            empty={<EmptyState title="Nothing is connected yet">{mayManage ? "Add one above." : "Somebody who manages integrations can add one."}</EmptyState>}
          />
        )}
      </Loaded>
    </Card>
  );
}

const SHOWN_ON_HOVER = "opacity-0 transition-opacity group-focus-within/row:opacity-100 group-hover/row:opacity-100 pointer-coarse:opacity-100";

function useColumns(onCustom: (wish: CustomWish) => void, onRemove: (connection: ConnectionSummary) => void): Columns<ConnectionSummary> {
  const path = useOrganizationPath();
  const label = useProviderLabel();
  const { mayManage } = useOrganization();
  return useMemo<Columns<ConnectionSummary>>(
    () => [
      {
        id: "name",
        header: "Connection",
        cell: ({ row: { original: one } }) => (
          <div className="flex min-w-0 items-center gap-3">
            <ProviderIcon provider={one.provider} iconUrl={iconUrlOf(one.metadata)} />
            <div className="min-w-0">
              <Link to={path(`connections/${one.id}`)} dir="auto" className="foreign block truncate font-medium hover:text-accent-ink hover:underline" title={one.display_name}>
                {one.display_name}
              </Link>
              <span className="block truncate text-xs text-faint">
                {label(one.provider)}
                {one.team_id ? " · of a team" : one.project_id ? " · of a project" : ""}
              </span>
            </div>
          </div>
        ),
      },
      {
        id: "destination",
        header: "Goes to",
        meta: { isSecondary: true },
        cell: ({ row: { original: one } }) => {
          const destination = destinationOf(one);
          if (!destination) return <Badge tone="warn">Not chosen yet</Badge>;
          return (
            <span dir="auto" title={destination} className="foreign block truncate text-muted">
              {isCustom(one.provider) ? shortAddress(destination) : destination}
            </span>
          );
        },
      },
      {
        id: "events",
        header: "Wants",
        meta: { isSecondary: true },
        cell: ({ row: { original: one } }) => (
          <span className="block truncate text-muted" title={one.event_types.join(", ")}>
            {one.event_types.includes("*") ? "All events" : one.event_types.join(", ")}
            {one.has_conditions && <span className="text-faint"> · with conditions</span>}
          </span>
        ),
      },
      {
        id: "status",
        header: "Status",
        meta: { width: "9.5rem" },
        cell: ({ row: { original: one } }) => <Standing connection={one} />,
      },
      {
        id: "actions",
        header: "Actions",
        meta: { width: "6rem", align: "right", isHeadHidden: true },
        cell: ({ row: { original: one } }) =>
          mayManage && (
            <div className={`flex justify-end gap-0.5 ${SHOWN_ON_HOVER}`}>
              {isCustom(one.provider) && (
                <IconButton label={`Edit ${one.display_name}`} icon={<Pencil className="size-3.5" aria-hidden />} onClick={() => onCustom({ kind: "edit", connection: one })} />
              )}
              <IconButton label={`Remove ${one.display_name}`} look="danger-quiet" icon={<Trash2 className="size-3.5" aria-hidden />} onClick={() => onRemove(one)} />
            </div>
          ),
      },
    ],
    [path, label, mayManage, onCustom, onRemove],
  );
}
