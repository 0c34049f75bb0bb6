// The organization at a glance: what is stuck and why, how much goes out, how fast, and how each connection does.
import { useQuery } from "@tanstack/react-query";
import { Plug } from "lucide-react";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { overview } from "@/api/overview";
import type { Overview } from "@/api/shapes";
import { LinkButton } from "@/components/button";
import { Card } from "@/components/card";
import { Page } from "@/components/page";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { LatencyChart, ThroughputChart } from "./charts";
import { Connections } from "./connections";
import { Figures } from "./figures";
import { Stuck } from "./stuck";
import { Troubled } from "./troubled";

export function Component() {
  const { id: org } = useOrganization();
  const query = useQuery(overview(org));
  return (
    <Page
      title="Overview"
      about={query.data ? <>The last 24 hours, counted up to <Time at={query.data.as_of} />. What waits is of now.</> : "The last 24 hours."}
    >
      <Loaded query={query} lines={10}>
        {(found) => (found.connections.length === 0 && found.hours.every((hour) => hour.requests === 0) ? <Beginning /> : <Found overview={found} />)}
      </Loaded>
    </Page>
  );
}

function Found({ overview: found }: { overview: Overview }) {
  return (
    <div className="space-y-5">
      <Figures overview={found} />
      <div className="grid items-start gap-5 lg:grid-cols-2">
        <Stuck overview={found} />
        <Troubled connections={found.troubled} />
      </div>
      <div className="grid gap-5 lg:grid-cols-2">
        <Card title="Throughput" about="Per hour, by what came of it.">
          <ThroughputChart hours={found.hours} />
        </Card>
        <Card title="Latency" about="From the event to the receiver’s answer, on a logarithmic scale.">
          <LatencyChart hours={found.hours} />
        </Card>
      </div>
      <Connections connections={found.connections} />
    </div>
  );
}

function Beginning() {
  const path = useOrganizationPath();
  return (
    <Card isFlush>
      <EmptyState
        icon={<Plug aria-hidden />}
        title="Nothing is connected yet"
        action={
          <LinkButton look="primary" to={path("integrations")}>
            Connect something
          </LinkButton>
        }
      >
        Once something is, this page shows what goes there, how fast, and what is stuck.
      </EmptyState>
    </Card>
  );
}
