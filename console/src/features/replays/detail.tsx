// One replay: how far it is, what it selects, and the ways to steer it.
import type { ReactNode } from "react";
import { useParams } from "react-router";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { useReplay } from "@/api/replays";
import type { Replay } from "@/api/shapes";
import { Card, Facts } from "@/components/card";
import { Page } from "@/components/page";
import { Loaded } from "@/components/states";
import { Status } from "@/components/status";
import { Time } from "@/components/time";
import { WholeId } from "@/components/whole-id";
import { count } from "@/lib/format";
import { ReplayControls } from "./controls";
import { ReplayProgress } from "./progress";
import { Terms } from "./terms";

export function Component() {
  const { id: org } = useOrganization();
  const { id = "" } = useParams();
  const path = useOrganizationPath();
  const query = useReplay(org, id);
  const replay = query.data;
  return (
    <Page
      title="Replay"
      above={[{ to: path("replays"), label: "Replays" }]}
      heading={
        <span className="flex flex-wrap items-center gap-3">
          Replay {replay && <Status of="replay" status={replay.status} />}
        </span>
      }
      about={replay?.reason ? <bdi>{replay.reason}</bdi> : undefined}
      actions={replay && <ReplayControls replay={replay} />}
    >
      <Loaded query={query} lines={8}>
        {(found) => (
          <div className="grid items-start gap-5 lg:grid-cols-[minmax(0,1fr)_22rem]">
            <div className="space-y-5">
              <Card title="Progress">
                <ReplayProgress replay={found} />
              </Card>
              <Card title="What it selects">
                <Terms selection={found.selection} />
              </Card>
            </div>
            <Card title="About it">
              <Facts items={facts(found)} />
            </Card>
          </div>
        )}
      </Loaded>
    </Page>
  );
}

function facts(replay: Replay): [ReactNode, ReactNode][] {
  const items: [ReactNode, ReactNode][] = [
    ["Replay id", <WholeId key="i" id={replay.id} label="Copy the replay’s id" />],
    ["Settings", replay.configuration === "original" ? "As they were then" : "As they are now"],
    ["Rate", `${count(replay.rate_per_second)} per second`],
    ["Started by", <Actor key="a" actor={replay.created_by} />],
    ["Asked for", <Time key="c" at={replay.created_at} />],
  ];
  if (replay.started_at) items.push(["Began", <Time key="s" at={replay.started_at} />]);
  if (replay.paused_at) items.push(["Paused", <Time key="p" at={replay.paused_at} />]);
  if (replay.finished_at) items.push(["Ended", <Time key="f" at={replay.finished_at} />]);
  return items;
}

function Actor({ actor }: { actor: string }) {
  const id = actor.startsWith("user:") ? actor.slice("user:".length) : null;
  if (id) return <WholeId id={id} label="Copy the user’s id" />;
  return <bdi>{actor === "system" ? "The command line" : actor}</bdi>;
}
