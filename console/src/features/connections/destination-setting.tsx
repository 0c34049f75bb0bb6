// Which channel, project, team or repository a connection's events go to: looked up at the provider, and tried there.
import { Search } from "lucide-react";
import { useState } from "react";

import { useChooseDestination, useDestinations } from "@/api/connections";
import { sentence } from "@/api/errors";
import { useOrganization } from "@/app/organization";
import { Badge } from "@/components/badge";
import { Button } from "@/components/button";
import { Card } from "@/components/card";
import { Dialog } from "@/components/dialog";
import { Field } from "@/components/field";
import { EmptyState, Loaded } from "@/components/states";
import { useToast } from "@/components/toast";
import { useSettled } from "@/components/use-settled";
import { classes } from "@/lib/classes";
import { chosenOf } from "@/lib/destination";
import type { SettingProps } from "./delivery-settings";

export function DestinationSetting({ connection, mayChange, noun }: SettingProps & { noun: string }) {
  const [isPicking, setPicking] = useState(false);
  const chosen = chosenOf(connection.metadata);
  return (
    <Card
      title="Destination"
      about={`The ${noun} that its events go to.`}
      actions={
        mayChange && (
          <Button size="sm" look={chosen ? "plain" : "primary"} onClick={() => setPicking(true)}>
            {chosen ? "Change" : `Choose a ${noun}`}
          </Button>
        )
      }
    >
      {chosen ? (
        <p dir="auto" className="foreign text-sm font-medium">
          {chosen}
        </p>
      ) : (
        <p className="flex items-center gap-2 text-sm text-muted">
          <Badge tone="warn">Not chosen yet</Badge> Events wait until there is one.
        </p>
      )}
      {isPicking && <Picker connection={connection} noun={noun} onClose={() => setPicking(false)} />}
    </Card>
  );
}

function Picker({ connection, noun, onClose }: Pick<SettingProps, "connection"> & { noun: string; onClose: () => void }) {
  const { id: org } = useOrganization();
  const toast = useToast();
  const [typed, setTyped] = useState("");
  const [picked, setPicked] = useState<string | null>(null);
  const [issueType, setIssueType] = useState("Task");
  const hasIssueTypes = connection.provider.startsWith("jira");
  const query = useDestinations(org, connection.id, useSettled(typed.trim()));
  const choose = useChooseDestination(org, connection.id, ({ destination }) => {
    toast.good(`Its events go to ${destination?.name ?? picked}`);
    onClose();
  });
  const save = () => {
    const kind = hasIssueTypes && issueType.trim() ? { issue_type: issueType.trim() } : {};
    if (picked) choose.mutate({ id: picked, ...kind });
  };
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button look="primary" disabled={!picked} isBusy={choose.isPending} onClick={save}>
        Choose
      </Button>
    </>
  );
  return (
    <Dialog isOpen onClose={onClose} title={`Choose a ${noun}`} about="As the provider lists them now." footer={footer}>
      <div className="relative">
        <Search className="absolute top-2 left-2.5 z-10 size-4 text-faint" aria-hidden />
        <Field label="Search" isLabelHidden type="search" placeholder={`Search for a ${noun}`} value={typed} onChange={(event) => setTyped(event.target.value)} className="[&_input]:pl-8" />
      </div>
      <Loaded query={query}>
        {({ destinations, next_cursor }) =>
          destinations.length === 0 ? (
            <EmptyState title={`No ${noun} was found`} />
          ) : (
            <>
              <fieldset className="mt-3 max-h-72 min-w-0 overflow-y-auto rounded-lg border border-line">
                <legend className="sr-only">{`Which ${noun}`}</legend>
                {destinations.map((one) => (
                  <label
                    key={one.id}
                    className={classes(
                      "flex cursor-pointer items-center gap-2.5 px-3 py-2 text-sm has-focus-visible:outline-2 has-focus-visible:-outline-offset-2 has-focus-visible:outline-accent",
                      one.id === picked ? "bg-accent-soft text-accent-ink" : "hover:bg-raised",
                    )}
                  >
                    <input type="radio" name="destination" value={one.id} checked={one.id === picked} onChange={() => setPicked(one.id)} className="size-4 shrink-0 outline-none" />
                    <span dir="auto" className="foreign min-w-0 flex-1">
                      {one.name}
                    </span>
                  </label>
                ))}
              </fieldset>
              {next_cursor && <p className="mt-1 text-xs text-faint">There are more: search for a part of the name.</p>}
            </>
          )
        }
      </Loaded>
      {hasIssueTypes && <Field className="mt-4 max-w-60" label="Issue type" value={issueType} onChange={(event) => setIssueType(event.target.value)} />}
      {choose.error && (
        <p role="alert" className="foreign mt-4 rounded-lg bg-bad-soft px-3 py-2 text-sm text-bad">
          {sentence(choose.error)}
        </p>
      )}
    </Dialog>
  );
}
