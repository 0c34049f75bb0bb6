// What is left of a removed connection: its history and its numbers.
import { useConnections } from "@/api/connections";
import { useProviderLabel } from "@/api/catalogue";
import { useOrganization, useOrganizationPath } from "@/app/organization";
import { LinkButton } from "@/components/button";
import { Page } from "@/components/page";
import { EmptyState, Loaded } from "@/components/states";
import { Tabs } from "@/components/tabs";
import { Time } from "@/components/time";
import { ProviderIcon } from "@/features/integrations/provider-icon";
import { iconUrlOf } from "@/lib/destination";
import { History } from "./history";
import { Standing } from "./standing";
import { Statistics } from "./statistics";

export function Removed({ id }: { id: string }) {
  const { id: org } = useOrganization();
  const path = useOrganizationPath();
  const label = useProviderLabel();
  const query = useConnections(org, { removed: true });
  const above = [{ to: path("integrations"), label: "Integrations" }];
  const one = query.data?.find((connection) => connection.id === id);
  if (!one) {
    return (
      <Page title="Connection" above={above}>
        <Loaded query={query}>{() => <EmptyState title="There is no such connection" />}</Loaded>
      </Page>
    );
  }
  const heading = (
    <span className="flex min-w-0 items-center gap-3">
      <ProviderIcon provider={one.provider} iconUrl={iconUrlOf(one.metadata)} size="lg" />
      <span className="min-w-0">
        <span className="flex flex-wrap items-center gap-3">
          <bdi className="foreign">{one.display_name}</bdi> <Standing connection={one} />
        </span>
        <span className="block text-xs font-normal tracking-normal text-muted">
          {label(one.provider)} · removed <Time at={one.updated_at} />
        </span>
      </span>
    </span>
  );
  return (
    <Page title={one.display_name} heading={heading} above={above} about="It was removed. Its history and its deliveries stay." actions={<LinkButton to={path(`deliveries?connection_id=${id}`)}>Deliveries</LinkButton>}>
      <Tabs
        label="About this connection"
        tabs={[
          { id: "history", label: "History", content: <History id={id} current={null} /> },
          { id: "statistics", label: "Statistics", content: <Statistics id={id} /> },
        ]}
      />
    </Page>
  );
}
