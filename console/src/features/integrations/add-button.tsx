// Begins connecting one service, in whichever way the catalogue says that it is connected.
import { Plus } from "lucide-react";
import { useState } from "react";

import type { Provider } from "@/api/catalogue";
import { useInstall } from "@/api/integrations";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { Tip } from "@/components/tip";
import { useToast } from "@/components/toast";
import { FieldsDialog } from "./fields-dialog";
import type { CustomWish } from "./custom-dialog";
import { ProviderIcon } from "./provider-icon";

export function AddButton({ provider, onCustom }: { provider: Provider; onCustom: (wish: CustomWish) => void }) {
  const { id: org } = useOrganization();
  const install = useInstall(org);
  const toast = useToast();
  const [isAsking, setAsking] = useState(false);
  const isWebhook = provider.connect === "webhook";
  const begin = () => {
    if (!provider.is_configured) return;
    if (isWebhook) onCustom({ kind: "create", category: provider.category as "notification" | "ticketing" });
    else if (provider.connect === "access_token") setAsking(true);
    else install.mutate(provider.id, { onError: (error) => toast.bad(`${provider.label} cannot be connected now`, error) });
  };
  const button = (
    <Button
      size="sm"
      onClick={begin}
      isBusy={install.isPending || install.isSuccess}
      aria-disabled={!provider.is_configured || undefined}
      icon={isWebhook ? <Plus className="size-3.5" aria-hidden /> : <ProviderIcon provider={provider.id} size="sm" />}
      className={isWebhook ? undefined : "pl-1.5"}
    >
      {isWebhook ? "Add Custom" : `Add ${provider.label}`}
    </Button>
  );
  return (
    <>
      {provider.is_configured ? button : <Tip text={`${provider.label} is not set up here: whoever runs Relay has to give it a client id and a secret.`}>{button}</Tip>}
      {isAsking && <FieldsDialog provider={provider} onClose={() => setAsking(false)} />}
    </>
  );
}
