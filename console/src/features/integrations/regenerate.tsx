// A new signing secret: the old one ends at once, or signs beside it for a while.
import { RefreshCw } from "lucide-react";
import { useState } from "react";

import type { ConnectionSummary } from "@/api/connections";
import { useChangeCustom } from "@/api/integrations";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { Select } from "@/components/field";
import { useToast } from "@/components/toast";
import type { Shown } from "./secret";

const OVERLAPS = [
  { value: "0", label: "ends at once" },
  { value: "3600", label: "signs beside it for an hour" },
  { value: "86400", label: "signs beside it for a day" },
  { value: "604800", label: "signs beside it for a week" },
];
const SCHEMES = [
  { value: "hmac", label: "Shared secret (HMAC)" },
  { value: "ed25519", label: "Key pair (Ed25519)" },
];

interface Props {
  connection: Pick<ConnectionSummary, "id" | "provider" | "display_name" | "team_id" | "project_id">;
  /** Told even if this is gone by then. */
  onSecret: (shown: Shown) => void;
  onDone: () => void;
}

export function Regenerate({ connection, onSecret, onDone }: Props) {
  const { id: org } = useOrganization();
  const toast = useToast();
  const change = useChangeCustom(org, connection, ({ secret, public_key, warnings }) => {
    toast.good(secret ? "There is a new signing secret" : "There is a new key pair");
    const text = secret ?? public_key;
    if (text) onSecret({ text, isPublic: !secret, provider: connection.provider, name: connection.display_name, warnings });
  });
  const [isOpen, setOpen] = useState(false);
  const [overlap, setOverlap] = useState("0");
  const [signing, setSigning] = useState("hmac");
  const regenerate = () =>
    change.mutate(
      { regenerate_secret: true, signing, secret_overlap_seconds: Number(overlap) },
      { onSuccess: onDone, onError: (error) => toast.bad("The secret stays as it is", error) },
    );
  return (
    <section className="mt-6 border-t border-line pt-4">
      <div className="flex items-center gap-3">
        <div className="min-w-0 flex-1">
          <h3 className="text-sm font-medium">Signing secret</h3>
          <p className="text-xs text-muted">It cannot be shown again. A new one can be made.</p>
        </div>
        {!isOpen && (
          <Button size="sm" icon={<RefreshCw className="size-3.5" aria-hidden />} onClick={() => setOpen(true)}>
            Regenerate
          </Button>
        )}
      </div>
      {isOpen && (
        <div className="mt-3 grid gap-3 rounded-lg bg-sunken p-3 sm:grid-cols-2">
          <Select label="The old secret" choices={OVERLAPS} value={overlap} onChange={(event) => setOverlap(event.target.value)} />
          <Select label="The new one is a" choices={SCHEMES} value={signing} onChange={(event) => setSigning(event.target.value)} />
          <div className="flex justify-end gap-2 sm:col-span-2">
            <Button size="sm" onClick={() => setOpen(false)}>
              Cancel
            </Button>
            <Button size="sm" look="danger" isBusy={change.isPending} onClick={regenerate}>
              Regenerate the secret
            </Button>
          </div>
        </div>
      )}
    </section>
  );
}
