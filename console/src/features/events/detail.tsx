// One event: what it says, where it went, and why it did not go elsewhere.
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useParams } from "react-router";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { useDeliveries } from "@/api/deliveries";
import { oneEvent } from "@/api/events";
import type { EventDetail } from "@/api/shapes";
import { LinkButton } from "@/components/button";
import { Card, Facts } from "@/components/card";
import { JsonView } from "@/components/json-view";
import { Page } from "@/components/page";
import { LookFurther, Pagination } from "@/components/pagination";
import { EmptyState, Loaded, Stale } from "@/components/states";
import { Table } from "@/components/table";
import { Time } from "@/components/time";
import { WholeId } from "@/components/whole-id";
import { OF_EVENT } from "@/features/deliveries/columns";
import { deliveriesLink } from "@/lib/filters";
import { Priority } from "./priority";
import { WhyCard } from "./why";

export function Component() {
  const { id: org } = useOrganization();
  const { id = "" } = useParams();
  const path = useOrganizationPath();
  const query = useQuery(oneEvent(org, id));
  const above = [{ to: path("events"), label: "Events" }];
  if (!query.data) {
    return (
      <Page title="Event" above={above}>
        <Card isFlush>
          <Loaded query={query} lines={8}>
            {() => null}
          </Loaded>
        </Card>
      </Page>
    );
  }
  const event = query.data;
  return (
    <Page title={event.type} heading={<bdi>{event.type}</bdi>} about={event.subject ? <bdi>{event.subject}</bdi> : undefined} above={above}>
      <Stale query={query} className="mb-5" />
      <div className="grid items-start gap-5 xl:grid-cols-[minmax(0,1fr)_22rem]">
        <div className="min-w-0 space-y-5">
          <Deliveries event={event.id} />
          <Card title="Payload" about="The event’s data, as it was reported.">
            <JsonView text={event.dataText ?? "{}"} label="The event’s data" />
          </Card>
        </div>
        <div className="min-w-0 space-y-5">
          <Card title="About it">
            <Facts items={facts(event)} />
          </Card>
          <WhyCard event={event.id} />
        </div>
      </div>
    </Page>
  );
}

function Deliveries({ event }: { event: string }) {
  const { id: org } = useOrganization();
  const path = useOrganizationPath();
  const filter = { status: [], event_id: event };
  const list = useDeliveries(org, filter, { refetchInterval: 10_000 });
  const rows = list.data ?? [];
  return (
    <Card
      title="Deliveries"
      isFlush
      actions={
        rows.length > 0 && (
          <LinkButton size="sm" to={path(deliveriesLink(filter))}>
            Open as a list
          </LinkButton>
        )
      }
    >
      <Loaded query={list} lines={3}>
        {() => (
          <Table
            label="Deliveries of this event"
            columns={OF_EVENT}
            rows={rows}
            rowId={(row) => row.id}
            rowHref={(row) => path(`deliveries/${row.id}`)}
            empty={
              list.hasNextPage ? (
                <LookFurther list={list} many="deliveries" />
              ) : (
                <EmptyState title="No connection wanted it">Ask beside why it did not go to one that you expected.</EmptyState>
              )
            }
          />
        )}
      </Loaded>
      {rows.length > 0 && list.hasNextPage && <Pagination list={list} shown={rows.length} noun="delivery" many="deliveries" />}
    </Card>
  );
}

function facts(event: EventDetail): [ReactNode, ReactNode][] {
  const items: [ReactNode, ReactNode][] = [
    ["Event id", <WholeId key="id" id={event.id} label="Copy the event’s id" />],
    ["Priority", <Priority key="p" priority={event.priority} />],
  ];
  if (event.source) items.push(["Source", <bdi key="s">{event.source}</bdi>]);
  if (event.project_id) items.push(["Project", <WholeId key="pr" id={event.project_id} label="Copy the project’s id" />]);
  if (event.team_id) items.push(["Team", <WholeId key="te" id={event.team_id} label="Copy the team’s id" />]);
  items.push(["Happened", <Time key="o" at={event.occurred_at} />], ["Recorded", <Time key="r" at={event.recorded_at} />]);
  if (event.hops > 0) items.push(["Hops", <span key="h" title="How many deliveries of ours led to it">{event.hops}</span>]);
  return items;
}
