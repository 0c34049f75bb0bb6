// Puts a replay together: what, how, and what it would do, before anything is sent.
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState, type FormEvent } from "react";
import { useNavigate, useSearchParams } from "react-router";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { keys } from "@/api/keys";
import { startReplay } from "@/api/replays";
import { Button } from "@/components/button";
import { Card } from "@/components/card";
import { Page } from "@/components/page";
import { Loaded } from "@/components/states";
import { useToast } from "@/components/toast";
import { useSettled } from "@/components/use-settled";
import { count } from "@/lib/format";
import { formErrors, formOf, requestOf, type Configuration, type ReplayForm, type Selection } from "@/lib/replay";
import { DryRunView, sendable } from "./dry-run";
import { ReplayOptions } from "./options";
import { SelectionFields } from "./selection-fields";
import { useDryRun } from "./use-dry-run";

export function Component() {
  const { id: org } = useOrganization();
  const path = useOrganizationPath();
  const navigate = useNavigate();
  const [address] = useSearchParams();
  const queries = useQueryClient();
  const toast = useToast();
  const [form, setForm] = useState(() => formOf(address, Date.now()));
  const errors = formErrors(form);
  const isWhole = Object.keys(errors).length === 0;
  // Typing goes on while the last selection is counted; null while what is typed selects nothing that can be counted.
  const wish = useMemo(() => wishOf(form), [form]);
  const settled = useSettled(wish);
  const [selection, configuration] = useMemo(() => JSON.parse(settled ?? '[{},"current"]') as [Selection, Configuration], [settled]);
  const run = useDryRun(selection, configuration, settled !== null);
  const number = run.data ? sendable(run.data) : 0;
  const start = useMutation({
    mutationFn: () => startReplay(org, requestOf(form, false)),
    onSuccess: (replay) => {
      void queries.invalidateQueries({ queryKey: keys.replays(org) });
      void navigate(path(`replays/${replay.id}`));
    },
    onError: (error) => toast.bad("The replay did not start", error),
  });
  const canStart = isWhole && number > 0 && !run.isPlaceholderData && settled === wish;
  // Also while its page is on the way: a second click would begin a second one.
  const isStarting = start.isPending || start.isSuccess;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (canStart && !isStarting) start.mutate();
  };
  return (
    <Page title="New replay" above={[{ to: path("replays"), label: "Replays" }]} about="Nothing is sent until you start it.">
      <form onSubmit={submit} noValidate className="grid items-start gap-5 lg:grid-cols-[minmax(0,1fr)_minmax(0,26rem)]">
        <div className="space-y-5">
          <Card title="What to send again">
            <SelectionFields form={form} errors={errors} onChange={(change) => setForm({ ...form, ...change })} />
          </Card>
          <Card title="How">
            <ReplayOptions options={form} errors={errors} onChange={(change) => setForm({ ...form, ...change })} />
          </Card>
        </div>
        <div className="lg:sticky lg:top-6">
          <Card title="What it would do">
            <div className={run.isPlaceholderData ? "opacity-60" : ""}>
              <Loaded query={run} lines={5}>
                {(found) => <DryRunView run={found} />}
              </Loaded>
            </div>
            <Button look="primary" type="submit" className="mt-5 w-full" disabled={!canStart} isBusy={isStarting}>
              {number > 0 ? `Replay ${count(number)}${run.data?.is_exact ? "" : "+"}` : "Nothing to replay"}
            </Button>
          </Card>
        </div>
      </form>
    </Page>
  );
}

function wishOf(form: ReplayForm): string | null {
  if (Object.keys(formErrors({ ...form, rate: "1" })).length > 0) return null;
  const { selection, configuration } = requestOf(form, true);
  return JSON.stringify([selection, configuration]);
}
