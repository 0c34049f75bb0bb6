// Why nothing reaches a connection now, and what can be done about it.
import { CirclePause, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";

import { useCatalogue } from "@/api/catalogue";
import type { Connection, ConnectionSummary } from "@/api/connections";
import { useInstall } from "@/api/integrations";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { Time } from "@/components/time";
import { classes } from "@/lib/classes";

const LOOKS = {
  bad: "border-bad-mark/40 bg-bad-soft text-bad",
  warn: "border-warn-mark/50 bg-warn-soft text-warn",
};

export function Trouble({ connection, health }: { connection: Connection; health: ConnectionSummary["health"] | null }) {
  const isHeld = health?.held_until && Date.parse(health.held_until) > Date.now();
  if (connection.status === "error" || connection.status === "suspended") {
    return (
      <Note look="bad" action={<Reconnect connection={connection} />}>
        <b className="font-semibold">Nothing is sent to it.</b> <bdi>{connection.status_reason ?? "The provider no longer lets us."}</bdi>
      </Note>
    );
  }
  return (
    <>
      {connection.paused && (
        <Note look="warn" isPause>
          <b className="font-semibold">It is paused.</b> What it would get is skipped, and can be replayed.
        </Note>
      )}
      {health?.failing_since && (
        <Note look="bad">
          <b className="font-semibold">It has taken nothing</b> since <Time at={health.failing_since} isExact />.
          {health.breaker_open_until && Date.parse(health.breaker_open_until) > Date.now() && <> It is tried again <Time at={health.breaker_open_until} />.</>}
          {health.disables_at && <> If that goes on, it is switched off on <Time at={health.disables_at} isExact />.</>}
        </Note>
      )}
      {isHeld && (
        <Note look="warn" isPause>
          Its receiver asked us to wait until <Time at={health.held_until} isExact />
          {health.held_because ? ` (${health.held_because.replaceAll("_", " ")})` : ""}. What is due then goes out by itself.
        </Note>
      )}
    </>
  );
}

function Note({ look, isPause, action, children }: { look: keyof typeof LOOKS; isPause?: boolean; action?: ReactNode; children: ReactNode }) {
  const Icon = isPause ? CirclePause : TriangleAlert;
  return (
    <div role="status" className={classes("flex flex-wrap items-center gap-3 rounded-xl border px-4 py-3 text-sm", LOOKS[look])}>
      <Icon className="size-4 shrink-0" aria-hidden />
      <p className="foreign min-w-0 flex-1">{children}</p>
      {action}
    </div>
  );
}

/** The same account connects again as the same connection. */
function Reconnect({ connection }: { connection: Connection }) {
  const { id: org, mayManage } = useOrganization();
  const install = useInstall(org);
  const provider = useCatalogue().data?.find((one) => one.id === connection.provider);
  if (!mayManage || !provider?.is_configured || !["oauth2", "github_app"].includes(provider.connect)) return null;
  if (connection.team_id || connection.project_id) return null;
  return (
    <Button size="sm" isBusy={install.isPending || install.isSuccess} onClick={() => install.mutate(provider.id)}>
      Connect again
    </Button>
  );
}
