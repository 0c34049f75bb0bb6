// Pausing a replay, letting it go on, calling it off, changing its rate.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CircleStop, Gauge, Pause, Play } from "lucide-react";
import { useState, type FormEvent } from "react";

import { useOrganization } from "@/app/organization";
import { keys } from "@/api/keys";
import { changeReplay } from "@/api/replays";
import type { Replay } from "@/api/shapes";
import { Button } from "@/components/button";
import { Confirm, Dialog } from "@/components/dialog";
import { Field } from "@/components/field";
import { useToast } from "@/components/toast";
import { isFinal, RATE_MAX, rateMistake } from "@/lib/replay";

export function ReplayControls({ replay }: { replay: Replay }) {
  const { id: org, mayManage } = useOrganization();
  const queries = useQueryClient();
  const toast = useToast();
  const [asks, setAsks] = useState<"cancel" | "rate" | null>(null);
  const change = useMutation({
    mutationFn: (wanted: Parameters<typeof changeReplay>[2]) => changeReplay(org, replay.id, wanted),
    onSuccess: (after) => {
      setAsks(null);
      queries.setQueryData(keys.replay(org, replay.id), after);
      void queries.invalidateQueries({ queryKey: keys.replays(org) });
    },
    onError: (error) => toast.bad("The replay was not changed", error),
  });
  if (!mayManage || isFinal(replay.status)) return null;
  const isPaused = replay.status === "paused";
  return (
    <>
      <Button icon={<Gauge className="size-3.5" aria-hidden />} onClick={() => setAsks("rate")}>
        {replay.rate_per_second} per second
      </Button>
      <Button
        isBusy={change.isPending && asks === null}
        icon={isPaused ? <Play className="size-3.5" aria-hidden /> : <Pause className="size-3.5" aria-hidden />}
        onClick={() => change.mutate({ status: isPaused ? "running" : "paused" })}
      >
        {isPaused ? "Resume" : "Pause"}
      </Button>
      <Button look="danger-quiet" icon={<CircleStop className="size-3.5" aria-hidden />} onClick={() => setAsks("cancel")}>
        Cancel replay
      </Button>
      <Confirm
        isOpen={asks === "cancel"}
        onClose={() => setAsks(null)}
        title="Cancel this replay?"
        about="What it made due and was not tried yet is taken back. What was sent stays sent. It cannot be resumed."
        action="Cancel the replay"
        isBusy={change.isPending}
        onConfirm={() => change.mutate({ status: "cancelled" })}
      />
      {asks === "rate" && (
        <RateDialog rate={replay.rate_per_second} isBusy={change.isPending} onClose={() => setAsks(null)} onChange={(rate_per_second) => change.mutate({ rate_per_second })} />
      )}
    </>
  );
}

function RateDialog({ rate, isBusy, onClose, onChange }: { rate: number; isBusy: boolean; onClose: () => void; onChange: (rate: number) => void }) {
  const [typed, setTyped] = useState(String(rate));
  const wanted = Number(typed);
  const mistake = rateMistake(typed);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!mistake && !isBusy) onChange(wanted);
  };
  return (
    <Dialog
      isOpen
      onClose={onClose}
      title="How fast?"
      about="It holds from now on."
      footer={
        <>
          <Button onClick={onClose}>Close</Button>
          <Button look="primary" isBusy={isBusy} disabled={mistake !== undefined} onClick={() => onChange(wanted)}>
            Change
          </Button>
        </>
      }
    >
      <form onSubmit={submit}>
        <Field
          label="Deliveries per second"
          type="number"
          inputMode="numeric"
          min={1}
          max={RATE_MAX}
          value={typed}
          mistake={mistake}
          onChange={(event) => setTyped(event.target.value)}
        />
      </form>
    </Dialog>
  );
}
