// Sends one delivery again, after asking for the reason that history keeps.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { RotateCcw } from "lucide-react";
import { useState } from "react";

import { useOrganization } from "@/app/organization";
import { replayDelivery } from "@/api/deliveries";
import { keys } from "@/api/keys";
import type { Delivery } from "@/api/shapes";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Field } from "@/components/field";
import { useToast } from "@/components/toast";

export function ReplayOne({ delivery }: { delivery: Delivery }) {
  const { id: org } = useOrganization();
  const [isOpen, setOpen] = useState(false);
  const [reason, setReason] = useState("");
  const queries = useQueryClient();
  const toast = useToast();
  const replay = useMutation({
    mutationFn: () => replayDelivery(org, delivery.id, reason),
    onSuccess: () => {
      setOpen(false);
      setReason("");
      toast.good("It is sent again now");
      void queries.invalidateQueries({ queryKey: keys.deliveries(org) });
    },
    onError: (error) => toast.bad("It was not replayed", error),
  });
  const isWaiting = delivery.status === "pending";
  return (
    <>
      <Button look="primary" icon={<RotateCcw className="size-3.5" aria-hidden />} onClick={() => setOpen(true)}>
        {isWaiting ? "Send now…" : "Replay…"}
      </Button>
      <Dialog
        isOpen={isOpen}
        onClose={() => setOpen(false)}
        title={isWaiting ? "Send it now?" : "Replay this delivery?"}
        about={
          isWaiting
            ? "Its next attempt is brought forward. There is never a second one beside it."
            : "It is sent again under the same id, with the connection as it is now. Receivers that remember ids can tell."
        }
        footer={
          <>
            <Button onClick={() => setOpen(false)}>Cancel</Button>
            <Button look="primary" isBusy={replay.isPending} onClick={() => replay.mutate()}>
              {isWaiting ? "Send now" : "Replay"}
            </Button>
          </>
        }
      >
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (!replay.isPending) replay.mutate();
          }}
        >
          <Field
            label="Reason"
            hint="Kept in the connection’s history. You may leave it empty."
            value={reason}
            maxLength={500}
            onChange={(event) => setReason(event.target.value)}
          />
        </form>
      </Dialog>
    </>
  );
}
