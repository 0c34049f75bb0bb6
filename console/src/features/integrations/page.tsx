// Everything that an organization has connected, in its three kinds, and what else it can connect.
import { useState } from "react";

import { CATEGORIES, useCatalogue } from "@/api/catalogue";
import { useConnections, type ConnectionSummary } from "@/api/connections";
import { useOrganization } from "@/app/organization";
import { Page } from "@/components/page";
import { Loaded } from "@/components/states";
import { CategoryCard } from "./category-card";
import { RemovedList } from "./removed-list";
import { RemoveDialog } from "./remove-dialog";
import type { Shown } from "./secret";
import { CustomDialog, type CustomWish } from "./custom-dialog";
import { useReturned } from "./use-returned";

export function Component() {
  const { id: org } = useOrganization();
  const catalogue = useCatalogue();
  const connections = useConnections(org);
  const [custom, setCustom] = useState<CustomWish | null>(null);
  const [removing, setRemoving] = useState<ConnectionSummary | null>(null);
  // Secrets that were just made. They are nowhere else: leaving the page forgets them.
  const [secrets, setSecrets] = useState<Record<string, Shown>>({});
  useReturned(org, catalogue.data !== undefined);
  const show = (id: string, shown: Shown | null) =>
    setSecrets(({ [id]: _, ...rest }) => (shown ? { ...rest, [id]: shown } : rest));
  return (
    <Page title="Integrations" about="Where the events of this organization go.">
      <Loaded query={catalogue}>
        {(providers) => (
          <div className="space-y-6">
            {CATEGORIES.map((category) => (
              <CategoryCard
                key={category.id}
                category={category}
                providers={providers.filter((provider) => provider.category === category.id)}
                connections={connections}
                secrets={secrets}
                onSecretRead={(id) => show(id, null)}
                onCustom={setCustom}
                onRemove={setRemoving}
              />
            ))}
            <RemovedList />
          </div>
        )}
      </Loaded>
      {custom && <CustomDialog wish={custom} onClose={() => setCustom(null)} onSecret={show} />}
      {removing && <RemoveDialog connection={removing} onClose={() => setRemoving(null)} />}
    </Page>
  );
}
