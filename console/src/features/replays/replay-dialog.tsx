// Replays a selection from a list: what it would do, how to do it, and then how far it is.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { keys } from "@/api/keys";
import { startReplay, useReplay } from "@/api/replays";
import type { Replay } from "@/api/shapes";
import { Button, LinkButton } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Loaded } from "@/components/states";
import { Status } from "@/components/status";
import { useToast } from "@/components/toast";
import { count } from "@/lib/format";
import { RATE_DEFAULT, rateMistake, type Selection } from "@/lib/replay";
import { DryRunView, sendable } from "./dry-run";
import { ReplayOptions, type Options } from "./options";
import { ReplayProgress } from "./progress";
import { Terms } from "./terms";
import { useDryRun } from "./use-dry-run";

interface Props {
  selection: Selection;
  onClose: () => void;
  onStarted?: () => void;
}

export function ReplayDialog({ selection, onClose, onStarted }: Props) {
  const [started, setStarted] = useState<Replay | null>(null);
  if (started) return <Underway replay={started} onClose={onClose} />;
  return (
    <Asking
      selection={selection}
      onClose={onClose}
      onStarted={(replay) => {
        setStarted(replay);
        onStarted?.();
      }}
    />
  );
}

function Asking({ selection, onClose, onStarted }: { selection: Selection; onClose: () => void; onStarted: (replay: Replay) => void }) {
  const { id: org } = useOrganization();
  const queries = useQueryClient();
  const toast = useToast();
  const [options, setOptions] = useState<Options>({ configuration: "current", rate: String(RATE_DEFAULT), reason: "" });
  const run = useDryRun(selection, options.configuration);
  const mistake = rateMistake(options.rate);
  const start = useMutation({
    mutationFn: () =>
      startReplay(org, {
        selection,
        configuration: options.configuration,
        rate_per_second: Number(options.rate),
        ...(options.reason.trim() === "" ? {} : { reason: options.reason.trim() }),
      }),
    onSuccess: (replay) => {
      void queries.invalidateQueries({ queryKey: keys.replays(org) });
      onStarted(replay);
    },
    onError: (error) => toast.bad("The replay did not start", error),
  });
  const number = run.data ? sendable(run.data) : 0;
  return (
    <Dialog
      isOpen
      isWide
      onClose={onClose}
      title="Replay these deliveries?"
      about="Each is sent again once, under its old id. Nothing is sent until you start it."
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" isBusy={start.isPending} disabled={number === 0 || mistake !== undefined || run.isPlaceholderData} onClick={() => start.mutate()}>
            {number > 0 ? `Replay ${count(number)}${run.data?.is_exact ? "" : "+"}` : "Replay"}
          </Button>
        </>
      }
    >
      <div className="space-y-5">
        <Terms selection={selection} />
        <Loaded query={run} lines={4}>
          {(found) => <DryRunView run={found} />}
        </Loaded>
        {number > 0 && (
          <div className="border-t border-line pt-4">
            <ReplayOptions options={options} errors={mistake ? { rate: mistake } : {}} onChange={(change) => setOptions({ ...options, ...change })} />
          </div>
        )}
      </div>
    </Dialog>
  );
}

function Underway({ replay: begun, onClose }: { replay: Replay; onClose: () => void }) {
  const { id: org } = useOrganization();
  const path = useOrganizationPath();
  const replay = useReplay(org, begun.id, begun).data ?? begun;
  return (
    <Dialog
      isOpen
      isWide
      onClose={onClose}
      title={
        <span className="flex items-center gap-3">
          Replay <Status of="replay" status={replay.status} />
        </span>
      }
      about="It goes on when you close this."
      footer={
        <>
          <LinkButton to={path(`replays/${replay.id}`)}>Open the replay</LinkButton>
          <Button look="primary" onClick={onClose}>
            Close
          </Button>
        </>
      }
    >
      <ReplayProgress replay={replay} />
    </Dialog>
  );
}
