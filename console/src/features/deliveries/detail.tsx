// One delivery: where it stands, each attempt, what was sent and answered, and how to try again.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { ExternalLink } from "lucide-react";
import type { ReactNode } from "react";
import { Link, useParams } from "react-router";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { oneDelivery } from "@/api/deliveries";
import { keys } from "@/api/keys";
import type { DeliveryDetail } from "@/api/shapes";
import { useLive } from "@/api/use-live";
import { Card, Facts } from "@/components/card";
import { JsonView } from "@/components/json-view";
import { Page } from "@/components/page";
import { EmptyState, Loaded, Stale } from "@/components/states";
import { Status } from "@/components/status";
import { Time } from "@/components/time";
import { WholeId } from "@/components/whole-id";
import { ProviderIcon } from "@/features/integrations/provider-icon";
import { webAddress } from "@/lib/links";
import type { LiveDelivery } from "@/lib/live";
import { deliveryClass, reason, statusSentence } from "@/lib/words";
import { AttemptItem, TimelineItem } from "./attempt";
import { ReplayOne } from "./replay-one";

export function Component() {
  const { id: org } = useOrganization();
  const { id = "" } = useParams();
  const path = useOrganizationPath();
  const queries = useQueryClient();
  const query = useQuery(oneDelivery(org, id));
  const connection = query.data?.connection_id;
  useLive(
    org,
    { connection_id: connection },
    ({ event, data }) => {
      const isThis = event === "delivery" && (data as LiveDelivery).id === id;
      if (isThis || event === "gap" || event === "lagged") void queries.invalidateQueries({ queryKey: keys.delivery(org, id) });
    },
    connection !== undefined,
  );
  const above = [{ to: path("deliveries"), label: "Deliveries" }];
  if (!query.data) {
    return (
      <Page title="Delivery" above={above}>
        <Card isFlush>
          <Loaded query={query} lines={8}>
            {() => null}
          </Loaded>
        </Card>
      </Page>
    );
  }
  return <Found delivery={query.data} above={above} stale={<Stale query={query} className="mb-5" />} />;
}

function Found({ delivery, above, stale }: { delivery: DeliveryDetail; above: { to: string; label: string }[]; stale: ReactNode }) {
  const { mayManage } = useOrganization();
  const attempts = delivery.attempt_list;
  const isPending = delivery.status === "pending";
  return (
    <Page
      title={delivery.event ?? "Delivery"}
      heading={
        <span className="flex flex-wrap items-center gap-3">
          <bdi>{delivery.event ?? "Event no longer kept"}</bdi>
          <Status of="delivery" status={delivery.status} />
        </span>
      }
      about={
        <>
          {delivery.subject && <bdi>{delivery.subject}</bdi>}
          {delivery.subject && " to "}
          {!delivery.subject && "To "}
          <bdi>{delivery.connection_name || "a removed connection"}</bdi>
        </>
      }
      above={above}
      actions={mayManage && <ReplayOne delivery={delivery} />}
    >
      {stale}
      <div className="grid items-start gap-5 xl:grid-cols-[minmax(0,1fr)_22rem]">
        <div className="min-w-0 space-y-5">
          <Card title="Attempts" about={attempts.length > 1 ? "The newest first." : undefined}>
            {attempts.length === 0 && !isPending ? (
              <EmptyState title="Nothing was sent">{statusSentence(delivery.status)}</EmptyState>
            ) : (
              <ol>
                {isPending && <Next delivery={delivery} isLast={attempts.length === 0} />}
                {attempts
                  .map((attempt, at) => (
                    <AttemptItem
                      key={at}
                      attempt={attempt}
                      at={at}
                      connection={delivery.connection_id}
                      isLast={at === 0}
                      isOpenFirst={at === attempts.length - 1}
                    />
                  ))
                  .reverse()}
              </ol>
            )}
          </Card>
          <Card title="Payload" about="The event’s data. The whole body is with each attempt’s request.">
            {delivery.dataText === null ? (
              <p className="text-sm text-muted">The event is no longer kept.</p>
            ) : (
              <JsonView text={delivery.dataText} label="The event’s data" />
            )}
          </Card>
        </div>
        <About delivery={delivery} />
      </div>
    </Page>
  );
}

/** What is to come. */
function Next({ delivery, isLast }: { delivery: DeliveryDetail; isLast: boolean }) {
  const why = delivery.reason ? reason(delivery.reason) : null;
  return (
    <TimelineItem tone="info" isLast={isLast}>
      <div className="px-3 py-2.5 text-sm">
        <p>
          <span className="font-medium">{delivery.attempts === 0 ? "First attempt" : "Next attempt"}</span>{" "}
          <span className="text-muted">
            {delivery.next_due_at ? <>due <Time at={delivery.next_due_at} /></> : "as soon as it may"}
          </span>
        </p>
        {why && (
          <p className="mt-0.5 text-xs text-muted">
            {why.label}: {why.sentence} {why.remedy}
          </p>
        )}
      </div>
    </TimelineItem>
  );
}

function About({ delivery }: { delivery: DeliveryDetail }) {
  const path = useOrganizationPath();
  const why = delivery.reason ? reason(delivery.reason) : null;
  const items: [ReactNode, ReactNode][] = [
    [
      "Connection",
      <Link key="c" to={path(`connections/${delivery.connection_id}`)} className="inline-flex max-w-full items-start gap-2 rounded text-accent-ink hover:underline">
        <ProviderIcon provider={delivery.provider} size="sm" />
        <bdi className="min-w-0">{delivery.connection_name || "Removed connection"}</bdi>
      </Link>,
    ],
    [
      "Event",
      <Link key="e" to={path(`events/${delivery.event_id}`)} className="rounded text-accent-ink hover:underline">
        {delivery.event ?? "No longer kept"}
      </Link>,
    ],
  ];
  if (delivery.external_id) items.push(["Made there", <External key="x" delivery={delivery} />]);
  items.push(
    ["Delivery id", <WholeId key="i" id={delivery.id} label="Copy the delivery’s id" />],
    ["Event id", <WholeId key="ei" id={delivery.event_id} label="Copy the event’s id" />],
    ["Class", deliveryClass(delivery.class)],
    ["Requests", delivery.attempts],
    ["Promised", <Time key="t" at={delivery.created_at} />],
  );
  if (delivery.updated_at) items.push(["Changed", <Time key="u" at={delivery.updated_at} />]);
  if (delivery.next_due_at) items.push(["Due", <Time key="d" at={delivery.next_due_at} />]);
  return (
    <div className="min-w-0 space-y-5">
      <Card title={why ? why.label : "Where it stands"}>
        <p className="text-sm">{why?.sentence || statusSentence(delivery.status)}</p>
        {why?.remedy && <p className="mt-1.5 text-sm text-muted">{why.remedy}</p>}
        {delivery.error && delivery.status !== "delivered" && <p className="foreign mt-2 text-sm text-bad">{delivery.error}</p>}
      </Card>
      <Card title="About it">
        <Facts items={items} />
      </Card>
    </div>
  );
}

function External({ delivery }: { delivery: DeliveryDetail }) {
  const address = webAddress(delivery.external_url);
  if (!address) return <bdi className="font-mono text-xs">{delivery.external_id}</bdi>;
  return (
    <a href={address} target="_blank" rel="noreferrer noopener" className="inline-flex items-center gap-1.5 rounded font-mono text-xs text-accent-ink hover:underline">
      <bdi>{delivery.external_id}</bdi>
      <ExternalLink className="size-3" aria-hidden />
      <span className="sr-only">(opens in a new tab)</span>
    </a>
  );
}
