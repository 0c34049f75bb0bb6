// The replays of an organization: what was sent again, by whom, and how far those under way are.
import { History, Plus } from "lucide-react";
import { Link, Navigate, useSearchParams } from "react-router";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { useReplays } from "@/api/replays";
import type { Replay } from "@/api/shapes";
import { LinkButton } from "@/components/button";
import { Card } from "@/components/card";
import { ChoicePill } from "@/components/filter-pill";
import { Page } from "@/components/page";
import { Pagination } from "@/components/pagination";
import { ProgressBar } from "@/components/progress-bar";
import { EmptyState, Loaded } from "@/components/states";
import { Status } from "@/components/status";
import { Table, type Columns } from "@/components/table";
import { Time } from "@/components/time";
import { count } from "@/lib/format";
import { isFinal } from "@/lib/replay";
import { humanise } from "@/lib/text";
import { REPLAY_STATUSES } from "@/lib/words";
import { Terms } from "./terms";

const COLUMNS: Columns<Replay> = [
  { id: "status", header: "Status", meta: { width: "8rem" }, cell: ({ row }) => <Status of="replay" status={row.original.status} /> },
  { id: "selection", header: "What", cell: ({ row }) => <What replay={row.original} /> },
  { id: "progress", header: "Progress", meta: { width: "14rem", isSecondary: true }, cell: ({ row }) => <Progress replay={row.original} /> },
  {
    id: "reason",
    header: "Reason",
    meta: { width: "18%", isSecondary: true },
    cell: ({ row }) => (row.original.reason ? <bdi title={row.original.reason} className="text-xs text-muted">{row.original.reason}</bdi> : <span className="text-faint">–</span>),
  },
  { id: "created", header: "Started", meta: { width: "7.5rem", align: "right", isSecondary: true }, cell: ({ row }) => <Time at={row.original.created_at} className="whitespace-nowrap text-muted" /> },
];

function What({ replay }: { replay: Replay }) {
  const path = useOrganizationPath();
  return (
    <Link to={path(`replays/${replay.id}`)} className="block min-w-0 overflow-hidden rounded">
      <Terms selection={replay.selection} />
    </Link>
  );
}

function Progress({ replay }: { replay: Replay }) {
  const total = replay.total ?? null;
  return (
    <span className="flex items-center gap-3">
      <span className="w-20 shrink-0">
        <ProgressBar
          label="Progress"
          done={replay.status === "completed" ? (total ?? 1) : replay.considered}
          total={total === 0 ? 1 : total}
          isIdle={isFinal(replay.status) || replay.status === "paused"}
        />
      </span>
      <span className="tabular text-xs whitespace-nowrap text-muted">
        {count(replay.replayed)} of {total === null ? "…" : count(total)}
      </span>
    </span>
  );
}

/** Links from elsewhere ask for a new one with `new=1` and a selection. */
export function Component() {
  const path = useOrganizationPath();
  const [address, setAddress] = useSearchParams();
  if (address.has("new")) return <Navigate replace to={path(`replays/new?${address}`)} />;
  return <List status={address.get("status") ?? undefined} onStatus={(next) => setAddress(next ? { status: next } : {}, { preventScrollReset: true })} />;
}

function List({ status, onStatus }: { status: string | undefined; onStatus: (status: string | undefined) => void }) {
  const { id: org, mayManage } = useOrganization();
  const path = useOrganizationPath();
  const list = useReplays(org, status);
  const rows = list.data ?? [];
  const begin = (
    <LinkButton look="primary" to={path("replays/new")} icon={<Plus className="size-3.5" aria-hidden />}>
      New replay
    </LinkButton>
  );
  return (
    <Page title="Replays" about="Many deliveries sent again by one job: at a rate of your choice, behind live events, and never the same one twice." actions={mayManage && begin}>
      <div role="search" aria-label="Filters" className="mb-4">
        <ChoicePill
          label="Status"
          value={status}
          onChange={onStatus}
          options={REPLAY_STATUSES.map((one) => ({ value: one, label: humanise(one) }))}
        />
      </div>
      <Card isFlush>
        <Loaded query={list} lines={8}>
          {() => (
            <Table
              label="Replays, the newest first"
              columns={COLUMNS}
              rows={rows}
              rowId={(row) => row.id}
              rowHref={(row) => path(`replays/${row.id}`)}
              empty={
                <EmptyState icon={<History aria-hidden />} title={status ? "No replay is in this state" : "Nothing was replayed yet"} action={mayManage && !status && begin}>
                  {!status && "After a receiver was down, a replay sends what it missed."}
                </EmptyState>
              }
            />
          )}
        </Loaded>
        {rows.length > 0 && <Pagination list={list} shown={rows.length} noun="replay" />}
      </Card>
    </Page>
  );
}
