// The frame of one setting: what it is for, its fields, and saving it without touching the others.
import type { FormEvent, ReactNode } from "react";

import { useChangeConnection, type Connection, type ConnectionPatch } from "@/api/connections";
import { ApiError, sentence } from "@/api/errors";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { Card } from "@/components/card";
import { useToast } from "@/components/toast";

export function Setting({ title, about, connection, mayChange, isChanged, patch, children }: {
  title: string;
  about: string;
  connection: Connection;
  mayChange: boolean;
  isChanged: boolean;
  /** What to change; null while it cannot be. */
  patch: ConnectionPatch | null;
  children: ReactNode;
}) {
  const { id: org } = useOrganization();
  const toast = useToast();
  const change = useChangeConnection(org, connection.id, () => toast.good("The change is saved"));
  const save = (event: FormEvent) => {
    event.preventDefault();
    if (patch) change.mutate({ ...patch, expected_version: connection.version });
  };
  const conflict = change.error instanceof ApiError && change.error.code === "version_conflict";
  return (
    <form onSubmit={save}>
      <Card
        title={title}
        about={about}
        actions={
          mayChange && (
            <Button size="sm" look={isChanged ? "primary" : "plain"} type="submit" disabled={!isChanged || !patch} isBusy={change.isPending}>
              Save
            </Button>
          )
        }
      >
        <fieldset disabled={!mayChange} className="min-w-0">
          <legend className="sr-only">{title}</legend>
          {children}
        </fieldset>
        {change.error && (
          <p role="alert" className="foreign mt-3 rounded-lg bg-bad-soft px-3 py-2 text-sm text-bad">
            {conflict ? "Somebody else has changed this connection meanwhile. Load the page again to see it." : sentence(change.error)}
          </p>
        )}
      </Card>
    </form>
  );
}
