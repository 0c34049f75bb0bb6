// Asks before a connection is removed, and says afterwards what is left to do at the provider.
import { useState } from "react";

import { useProviderLabel } from "@/api/catalogue";
import { useRemoveConnection } from "@/api/connections";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { Confirm, Dialog } from "@/components/dialog";
import { useToast } from "@/components/toast";
import { webAddress } from "@/lib/links";

interface Removable {
  id: string;
  provider: string;
  display_name: string;
  team_id?: string | null;
  project_id?: string | null;
}

export function RemoveDialog({ connection, onClose, onRemoved }: { connection: Removable; onClose: () => void; onRemoved?: () => void }) {
  const { id: org } = useOrganization();
  const toast = useToast();
  const remove = useRemoveConnection(org, () => toast.good(`${connection.display_name} is removed`));
  const label = useProviderLabel();
  const [revokeUrl, setRevokeUrl] = useState<string | null>(null);
  const done = () => {
    onClose();
    onRemoved?.();
  };
  const confirm = () =>
    remove.mutate(connection, {
      onSuccess: (removed) => {
        const href = webAddress(removed.revokeUrl);
        if (href) setRevokeUrl(href);
        else done();
      },
      onError: (error) => toast.bad("It is not removed", error),
    });
  if (revokeUrl) {
    return (
      <Dialog isOpen onClose={done} title="One step is left" footer={<Button onClick={done}>Close</Button>}>
        <p className="text-sm text-muted">
          Relay has forgotten this account. {label(connection.provider)} still lists what was granted:{" "}
          <a href={revokeUrl} target="_blank" rel="noreferrer noopener" className="text-accent-ink underline">
            take it back there
          </a>
          .
        </p>
      </Dialog>
    );
  }
  return (
    <Confirm
      isOpen
      onClose={onClose}
      title={<>Remove {connection.display_name}?</>}
      about="Nothing more is sent to it, what is queued is cancelled, and its secrets are deleted. Its history stays. This cannot be undone."
      action="Remove"
      isBusy={remove.isPending}
      onConfirm={confirm}
    />
  );
}
