// One connection: how it stands, what it wants, how it is delivered to, and what happened to it.
import { Pause, Pencil, Play, Trash2 } from "lucide-react";
import { useState, type ReactNode } from "react";
import { useNavigate, useParams } from "react-router";

import { useProviderLabel } from "@/api/catalogue";
import { useChangeConnection, useConnection, useConnections, type Connection } from "@/api/connections";
import { ApiError } from "@/api/errors";
import { useOrganization, useOrganizationPath } from "@/app/organization";
import { Button, LinkButton } from "@/components/button";
import { Id } from "@/components/copy";
import { Page } from "@/components/page";
import { Loaded, Stale } from "@/components/states";
import { Tabs } from "@/components/tabs";
import { useToast } from "@/components/toast";
import { CustomDialog } from "@/features/integrations/custom-dialog";
import { ProviderIcon } from "@/features/integrations/provider-icon";
import { RemoveDialog } from "@/features/integrations/remove-dialog";
import { SecretRow, type Shown } from "@/features/integrations/secret";
import { destinationOf, iconUrlOf, isCustom } from "@/lib/destination";
import { DeliverySettings } from "./delivery-settings";
import { History } from "./history";
import { Missed } from "./missed";
import { Removed } from "./removed";
import { Standing } from "./standing";
import { Statistics } from "./statistics";
import { Subscription } from "./subscription";
import { TestButton } from "./test-button";
import { Trouble } from "./trouble";

export function Component() {
  const { id: org } = useOrganization();
  const { id = "" } = useParams();
  const path = useOrganizationPath();
  const navigate = useNavigate();
  const query = useConnection(org, id);
  // Kept here: once it is removed, its page is gone before the dialog has said all.
  const [removing, setRemoving] = useState<Connection | null>(null);
  return (
    <>
      {query.error instanceof ApiError && query.error.status === 404 ? (
        // Also where it was there a moment ago: somebody else may remove it.
        <Removed id={id} />
      ) : query.data ? (
        <Found key={id} connection={query.data} stale={<Stale query={query} />} onRemove={setRemoving} />
      ) : (
        <Page title="Connection">
          <Loaded query={query}>{() => null}</Loaded>
        </Page>
      )}
      {removing && <RemoveDialog connection={removing} onClose={() => setRemoving(null)} onRemoved={() => void navigate(path("integrations"))} />}
    </>
  );
}

function Found({ connection, stale, onRemove }: { connection: Connection; stale: ReactNode; onRemove: (connection: Connection) => void }) {
  const { id: org, mayManage } = useOrganization();
  const path = useOrganizationPath();
  const label = useProviderLabel();
  const summary = useConnections(org).data?.find((one) => one.id === connection.id);
  const [isEditing, setEditing] = useState(false);
  const [secret, setSecret] = useState<Shown | null>(null);
  const [missed, setMissed] = useState<Connection["missed"]>(null);
  const scope = connection.team_id ? " · serves one team" : connection.project_id ? " · serves one project" : "";
  const heading = (
    <span className="flex min-w-0 items-center gap-3">
      <ProviderIcon provider={connection.provider} iconUrl={iconUrlOf(connection.metadata)} size="lg" />
      <span className="min-w-0">
        <span className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <bdi className="foreign min-w-0">{connection.display_name}</bdi>
          <Standing connection={{ ...connection, health: summary?.health }} />
        </span>
        <span className="flex flex-wrap items-center gap-x-2 text-xs font-normal tracking-normal text-muted">
          {label(connection.provider)}
          {scope}
          <Id id={connection.id} />
        </span>
      </span>
    </span>
  );
  const actions = (
    <>
      <LinkButton to={path(`deliveries?connection_id=${connection.id}`)}>Deliveries</LinkButton>
      {mayManage && (
        <>
          <TestButton connection={connection} />
          <PauseButton connection={connection} onMissed={setMissed} />
          {isCustom(connection.provider) && (
            <Button icon={<Pencil className="size-3.5" aria-hidden />} onClick={() => setEditing(true)}>
              Edit
            </Button>
          )}
          <Button look="danger-quiet" icon={<Trash2 className="size-3.5" aria-hidden />} onClick={() => onRemove(connection)}>
            Remove
          </Button>
        </>
      )}
    </>
  );
  return (
    <Page title={connection.display_name} heading={heading} actions={actions} above={[{ to: path("integrations"), label: "Integrations" }]}>
      <div className="space-y-4 empty:hidden [&:not(:empty)]:mb-5">
        {stale}
        {secret && <SecretRow shown={secret} onDone={() => setSecret(null)} />}
        {missed && <Missed connection={connection} missed={missed} />}
        <Trouble connection={connection} health={summary?.health ?? null} />
      </div>
      <Tabs
        label="About this connection"
        tabs={[
          { id: "statistics", label: "Statistics", content: <Statistics id={connection.id} /> },
          { id: "subscription", label: "Subscription", content: <Subscription key={connection.version} connection={connection} mayChange={mayManage} /> },
          { id: "delivery", label: "Delivery", content: <DeliverySettings connection={connection} mayChange={mayManage} /> },
          { id: "history", label: "History", content: <History id={connection.id} current={connection} /> },
        ]}
      />
      {isEditing && (
        <CustomDialog
          wish={{ kind: "edit", connection: { ...connection, destination: destinationOf(connection) } }}
          onClose={() => setEditing(false)}
          onSecret={(_, shown) => setSecret(shown)}
        />
      )}
    </Page>
  );
}

function PauseButton({ connection, onMissed }: { connection: Connection; onMissed: (missed: Connection["missed"]) => void }) {
  const { id: org } = useOrganization();
  const toast = useToast();
  const isOff = connection.paused || connection.status === "suspended" || connection.status === "error";
  const change = useChangeConnection(org, connection.id, (changed) => {
    onMissed(changed.missed);
    if (!changed.paused) toast.good("It is on again");
    else toast.good("It is paused", "What it would get is skipped until it is on again, and can be replayed.");
  });
  const flip = () => change.mutate({ paused: !isOff }, { onError: (error) => toast.bad(isOff ? "It cannot be switched on" : "It cannot be paused", error) });
  const Icon = isOff ? Play : Pause;
  return (
    <Button isBusy={change.isPending} icon={<Icon className="size-3.5" aria-hidden />} onClick={flip}>
      {isOff ? "Resume" : "Pause"}
    </Button>
  );
}
