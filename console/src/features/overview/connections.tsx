// How each connection did in the last 24 hours.
import { Link } from "react-router";

import { useOrganizationPath } from "@/app/organization";
import type { ConnectionDay } from "@/api/shapes";
import { Card } from "@/components/card";
import { EmptyState } from "@/components/states";
import { Status } from "@/components/status";
import { Table, type Columns } from "@/components/table";
import { ProviderIcon } from "@/features/integrations/provider-icon";
import { classes } from "@/lib/classes";
import { count, percent, span } from "@/lib/format";

const COLUMNS: Columns<ConnectionDay> = [
  { id: "name", header: "Connection", accessorFn: (one) => one.name.toLowerCase(), cell: ({ row }) => <Name connection={row.original} /> },
  {
    id: "status",
    header: "Status",
    accessorFn: (one) => (one.paused ? "paused" : one.status),
    meta: { width: "8rem", isSecondary: true },
    cell: ({ getValue }) => <Status of="connection" status={String(getValue())} />,
  },
  { id: "requests", header: "Requests", accessorKey: "requests", meta: { width: "7rem", align: "right", isSecondary: true }, cell: ({ row }) => count(row.original.requests) },
  { id: "delivered", header: "Delivered", accessorKey: "delivered", meta: { width: "7rem", align: "right", isSecondary: true }, cell: ({ row }) => count(row.original.delivered) },
  { id: "success", header: "Success", accessorFn: (one) => one.success ?? undefined, sortUndefined: "last", meta: { width: "9.5rem" }, cell: ({ row }) => <Success share={row.original.success ?? null} /> },
  { id: "p99", header: "99 of 100 within", accessorFn: (one) => one.p99_ms ?? undefined, sortUndefined: "last", meta: { width: "9rem", align: "right", isSecondary: true }, cell: ({ row }) => span(row.original.p99_ms) },
];

export function Connections({ connections }: { connections: ConnectionDay[] }) {
  const path = useOrganizationPath();
  return (
    <Card title="Connections" isFlush>
      <Table
        label="Connections in the last 24 hours"
        columns={COLUMNS}
        rows={connections}
        rowId={(row) => row.connection_id}
        rowHref={(row) => path(`connections/${row.connection_id}`)}
        isSortable
        empty={<EmptyState title="Nothing is connected" />}
      />
    </Card>
  );
}

function Name({ connection }: { connection: ConnectionDay }) {
  const path = useOrganizationPath();
  return (
    <span className="flex min-w-0 items-center gap-2.5">
      <ProviderIcon provider={connection.provider} size="sm" />
      <Link to={path(`connections/${connection.connection_id}`)} title={connection.name} className="min-w-0 truncate rounded font-medium hover:underline">
        <bdi>{connection.name}</bdi>
      </Link>
    </span>
  );
}

function Success({ share }: { share: number | null }) {
  if (share === null) return <span className="text-xs text-faint">No requests</span>;
  const colour = share >= 0.99 ? "bg-good-mark" : share >= 0.9 ? "bg-warn-mark" : "bg-bad-mark";
  return (
    <span className="flex items-center gap-2.5">
      <span aria-hidden className="h-1.5 w-14 overflow-hidden rounded-full bg-raised">
        <span className={classes("block h-full rounded-full", colour)} style={{ width: `${share * 100}%` }} />
      </span>
      <span className="tabular text-xs">{percent(share)}</span>
    </span>
  );
}
