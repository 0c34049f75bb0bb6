// What was reported: the organization's events, and what became of each.
import { Zap } from "lucide-react";
import { useMemo } from "react";
import { Link, useSearchParams } from "react-router";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { useEvents } from "@/api/events";
import type { EventItem } from "@/api/shapes";
import { Button } from "@/components/button";
import { Card } from "@/components/card";
import { Page } from "@/components/page";
import { LookFurther, Pagination } from "@/components/pagination";
import { EmptyState, Loaded } from "@/components/states";
import { Table, type Columns } from "@/components/table";
import { Time } from "@/components/time";
import { classes } from "@/lib/classes";
import { EVENT_FILTERS, filtersSet, readFilter, writeFilter, type EventFilter } from "@/lib/filters";
import { Counts } from "./counts";
import { FilterBar } from "./filter-bar";
import { Priority } from "./priority";

const COLUMNS: Columns<EventItem> = [
  { id: "event", header: "Event", cell: ({ row }) => <EventName event={row.original} /> },
  { id: "priority", header: "Priority", meta: { width: "6.25rem" }, cell: ({ row }) => <Priority priority={row.original.priority} /> },
  {
    id: "source",
    header: "Source",
    meta: { width: "14%", isSecondary: true },
    cell: ({ row }) =>
      row.original.source ? <bdi title={row.original.source} className="text-xs text-muted">{row.original.source}</bdi> : <span className="text-faint">–</span>,
  },
  { id: "deliveries", header: "Deliveries", meta: { width: "30%", isSecondary: true }, cell: ({ row }) => <Counts event={row.original.id} counts={row.original.deliveries} /> },
  { id: "recorded", header: "Recorded", meta: { width: "6.75rem", align: "right" }, cell: ({ row }) => <Time at={row.original.recorded_at} className="whitespace-nowrap text-muted" /> },
];

function EventName({ event }: { event: EventItem }) {
  const path = useOrganizationPath();
  return (
    <span className="flex min-w-0 flex-col xl:flex-row xl:items-baseline xl:gap-2">
      <Link to={path(`events/${event.id}`)} title={event.type} className="min-w-0 truncate rounded font-medium hover:underline xl:max-w-[75%] xl:shrink-0">
        <bdi>{event.type}</bdi>
      </Link>
      {event.subject && (
        <bdi title={event.subject} className="min-w-0 truncate text-left text-xs text-muted">
          {event.subject}
        </bdi>
      )}
    </span>
  );
}

export function Component() {
  const { id: org } = useOrganization();
  const path = useOrganizationPath();
  const [address, setAddress] = useSearchParams();
  const filter = useMemo(() => readFilter(EVENT_FILTERS, address), [address]);
  const list = useEvents(org, filter);
  const rows = list.data ?? [];
  const change = (next: EventFilter) => setAddress(writeFilter(EVENT_FILTERS, next), { preventScrollReset: true });
  return (
    <Page title="Events" about="What happened in Deptex, recorded once. Each event becomes one delivery for every connection that wants it.">
      <FilterBar filter={filter} onChange={change} />
      <Card isFlush className={classes("transition-opacity", list.isPlaceholderData && "opacity-60")}>
        <Loaded query={list} lines={12}>
          {() => (
            <Table
              label="Events, the newest first"
              columns={COLUMNS}
              rows={rows}
              rowId={(row) => row.id}
              rowHref={(row) => path(`events/${row.id}`)}
              empty={
                list.hasNextPage ? (
                  <LookFurther list={list} many="events" icon={<Zap aria-hidden />} />
                ) : (
                  <Nothing isFiltered={filtersSet(EVENT_FILTERS, filter) > 0} onClear={() => change({})} />
                )
              }
            />
          )}
        </Loaded>
        {rows.length > 0 && <Pagination list={list} shown={rows.length} noun="event" />}
      </Card>
    </Page>
  );
}

function Nothing({ isFiltered, onClear }: { isFiltered: boolean; onClear: () => void }) {
  if (isFiltered) {
    return (
      <EmptyState icon={<Zap aria-hidden />} title="No event matches" action={<Button onClick={onClear}>Clear the filters</Button>}>
        Widen the time, or take off a filter.
      </EmptyState>
    );
  }
  return (
    <EmptyState icon={<Zap aria-hidden />} title="No events yet">
      Events come from the Deptex core, by <code className="font-mono">POST /v1/events</code> or <code className="font-mono">relay.emit</code>.
    </EmptyState>
  );
}
