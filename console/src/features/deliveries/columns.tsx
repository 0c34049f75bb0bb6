// The columns of tables of deliveries.
import { Link } from "react-router";

import { useOrganizationPath } from "@/app/organization";
import type { Delivery } from "@/api/shapes";
import { Status } from "@/components/status";
import type { Columns } from "@/components/table";
import { Time } from "@/components/time";
import { ConnectionCell, EventCell, OutcomeCell } from "./cells";

export const COLUMNS: Columns<Delivery> = [
  { id: "status", header: "Status", meta: { width: "7.25rem" }, cell: ({ row }) => <Status of="delivery" status={row.original.status} /> },
  { id: "event", header: "Event", cell: ({ row }) => <EventCell delivery={row.original} /> },
  {
    id: "connection",
    header: "Connection",
    meta: { width: "23%", isSecondary: true },
    cell: ({ row: { original: one } }) => <ConnectionCell provider={one.provider} name={one.connection_name} id={one.connection_id} />,
  },
  { id: "outcome", header: "Last answer", meta: { width: "24%", isSecondary: true }, cell: ({ row }) => <OutcomeCell delivery={row.original} /> },
  {
    id: "created",
    header: "Promised",
    meta: { width: "7.25rem", align: "right", isSecondary: true },
    cell: ({ row }) => <Time at={row.original.created_at} className="text-muted whitespace-nowrap" />,
  },
];

/** Where all rows are of one event: the status leads to the delivery, and the connection has the room. */
export const OF_EVENT: Columns<Delivery> = COLUMNS.filter((column) => column.id !== "event").map((column) => {
  if (column.id === "status") return { ...column, cell: ({ row }) => <StatusLink delivery={row.original} /> };
  return column.id === "connection" ? { ...column, meta: {} } : column;
});

function StatusLink({ delivery }: { delivery: Delivery }) {
  const path = useOrganizationPath();
  return (
    <Link to={path(`deliveries/${delivery.id}`)} className="inline-block rounded-full" title="Open the delivery">
      <Status of="delivery" status={delivery.status} />
    </Link>
  );
}
