// Why an event went to a connection, or why it did not: each thing that was asked, as the connection stood then.
import { useQuery } from "@tanstack/react-query";
import { CircleCheck, CircleX, HelpCircle } from "lucide-react";
import { Link, useSearchParams } from "react-router";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { useConnections } from "@/api/connections";
import { explanation } from "@/api/events";
import type { Why } from "@/api/shapes";
import { Badge } from "@/components/badge";
import { Card } from "@/components/card";
import { Select } from "@/components/field";
import { Loaded } from "@/components/states";
import { count } from "@/lib/format";
import { check, verdict } from "@/lib/words";

export function WhyCard({ event }: { event: string }) {
  const { id: org } = useOrganization();
  const [address, setAddress] = useSearchParams();
  const chosen = address.get("why") ?? "";
  const connections = useConnections(org);
  const removed = useConnections(org, { removed: true });
  const why = useQuery(explanation(org, event, chosen));
  const choose = (id: string) =>
    setAddress(
      (now) => {
        const next = new URLSearchParams(now);
        if (id) next.set("why", id);
        else next.delete("why");
        return next;
      },
      { replace: true, preventScrollReset: true },
    );
  const name = (one: { display_name: string; provider: string }) => one.display_name || one.provider;
  const choices = [
    { value: "", label: "Choose a connection…" },
    ...(connections.data ?? []).map((one) => ({ value: one.id, label: name(one) })),
    ...(removed.data ?? []).map((one) => ({ value: one.id, label: `${name(one)} (removed)` })),
  ];
  return (
    <Card title="Why did it, or didn’t it, go there?" about="Answered for the moment at which the event was recorded.">
      <Select label="Connection" isLabelHidden choices={choices} value={chosen} onChange={(change) => choose(change.target.value)} />
      <div aria-live="polite" className="mt-4">
        {chosen === "" ? (
          <p className="flex items-center gap-2 text-sm text-muted">
            <HelpCircle className="size-4 shrink-0" aria-hidden /> Each thing that decides is shown, passed or not.
          </p>
        ) : (
          <Loaded query={why} lines={5}>
            {(answer) => <Answer answer={answer} connection={chosen} />}
          </Loaded>
        )}
      </div>
    </Card>
  );
}

function Answer({ answer, connection }: { answer: Why; connection: string }) {
  const path = useOrganizationPath();
  const { label, tone } = verdict(answer.verdict);
  return (
    <div className="space-y-3">
      <div className="space-y-1.5">
        <Badge tone={tone} dot>
          {label}
        </Badge>
        <p className="foreign text-sm">{answer.sentence}</p>
      </div>
      {answer.checks.length > 0 && (
        <ol className="space-y-2 rounded-lg border border-line p-3">
          {answer.checks.map((one) => (
            <li key={one.check} className="flex gap-2.5 text-sm">
              {one.passed ? (
                <CircleCheck className="mt-0.5 size-4 shrink-0 text-good" aria-hidden />
              ) : (
                <CircleX className="mt-0.5 size-4 shrink-0 text-bad" aria-hidden />
              )}
              <span className="min-w-0">
                <span className="font-medium">{check(one.check)}</span>
                <span className="sr-only">{one.passed ? ": yes" : ": no"}</span>
                <span className="foreign block text-xs text-muted">{one.detail}</span>
              </span>
            </li>
          ))}
        </ol>
      )}
      <p className="flex flex-wrap gap-x-4 gap-y-1 text-xs text-muted">
        {answer.delivery && (
          <Link to={path(`deliveries/${answer.delivery.id}`)} className="rounded text-accent-ink hover:underline">
            See the delivery
          </Link>
        )}
        <Link to={path(`connections/${connection}?tab=history`)} className="rounded hover:text-ink hover:underline">
          {answer.connection_version ? `The connection’s history (it was at version ${count(answer.connection_version)})` : "The connection’s history"}
        </Link>
      </p>
    </div>
  );
}
