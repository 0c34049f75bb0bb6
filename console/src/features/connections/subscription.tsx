// Which events a connection gets: patterns and conditions, tried on the last events before they are saved.
import { useState } from "react";

import { useChangeConnection, type Connection, type ConnectionPatch } from "@/api/connections";
import { ApiError, sentence } from "@/api/errors";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { Card } from "@/components/card";
import { useToast } from "@/components/toast";
import { flatten, unflatten, type Flat } from "@/lib/conditions";
import { same } from "@/lib/same";
import { Conditions } from "./conditions";
import { Patterns } from "./patterns";
import { PreviewCard } from "./preview-card";

/** The conditions as they are being edited: as a list of tests, or as JSON. */
export type Draft = { as: "list"; flat: Flat } | { as: "json"; text: string };

function draftOf(condition: unknown): Draft {
  const flat = flatten(condition);
  return flat ? { as: "list", flat } : { as: "json", text: JSON.stringify(condition, null, 2) };
}

/** What a draft stands for; undefined while it is not JSON. */
export function conditionOf(draft: Draft): unknown {
  if (draft.as === "list") return unflatten(draft.flat);
  if (!draft.text.trim()) return null;
  try {
    return JSON.parse(draft.text) as unknown;
  } catch {
    return undefined;
  }
}

export function Subscription({ connection, mayChange }: { connection: Connection; mayChange: boolean }) {
  const { id: org } = useOrganization();
  const toast = useToast();
  const change = useChangeConnection(org, connection.id, () => toast.good("The subscription is saved", "It holds for events from now on."));
  const [patterns, setPatterns] = useState(connection.event_types);
  const [draft, setDraft] = useState(() => draftOf(connection.conditions));
  const conditions = conditionOf(draft);
  const wish = JSON.stringify({ event_types: patterns, conditions });
  const isChanged = !same([patterns, conditions], [connection.event_types, connection.conditions ?? null]);
  const reset = () => {
    setPatterns(connection.event_types);
    setDraft(draftOf(connection.conditions));
    change.reset();
  };
  const save = () => change.mutate({ event_types: patterns, conditions: conditions as ConnectionPatch["conditions"], expected_version: connection.version });
  return (
    <div className="grid items-start gap-4 xl:grid-cols-[minmax(0,1fr)_minmax(0,1fr)]">
      <Card
        title="Subscription"
        about="Decided for each event in the moment in which it is recorded."
        actions={
          mayChange && (
            <>
              {isChanged && (
                <Button look="quiet" onClick={reset}>
                  Discard
                </Button>
              )}
              <Button look="primary" disabled={!isChanged || conditions === undefined || patterns.length === 0} isBusy={change.isPending} onClick={save}>
                Save
              </Button>
            </>
          )
        }
      >
        <fieldset disabled={!mayChange} className="min-w-0 space-y-6">
          <Patterns value={patterns} onChange={setPatterns} />
          <Conditions draft={draft} onChange={setDraft} />
        </fieldset>
        {change.error && (
          <p role="alert" className="foreign mt-4 rounded-lg bg-bad-soft px-3 py-2 text-sm text-bad">
            {change.error instanceof ApiError && change.error.code === "version_conflict" ? "Somebody else has changed this connection meanwhile. Load the page again to see it." : sentence(change.error)}
          </p>
        )}
      </Card>
      <PreviewCard connection={connection} wish={conditions === undefined || patterns.length === 0 ? null : wish} />
    </div>
  );
}
