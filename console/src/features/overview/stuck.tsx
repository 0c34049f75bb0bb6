// What waits at this moment, by what it waits for.
import { CircleCheck } from "lucide-react";

import { useOrganizationPath } from "@/app/organization";
import type { Overview } from "@/api/shapes";
import { LinkButton } from "@/components/button";
import { Card } from "@/components/card";
import { EmptyState } from "@/components/states";
import { Time } from "@/components/time";
import { deliveriesLink } from "@/lib/filters";
import { atLeast } from "@/lib/format";
import { reason } from "@/lib/words";

export function Stuck({ overview: { waiting, parked } }: { overview: Overview }) {
  const path = useOrganizationPath();
  const isQuiet = waiting.count === 0 && parked.count === 0;
  return (
    <Card
      title="What waits, and why"
      isFlush
      actions={
        !isQuiet && (
          <LinkButton size="sm" to={path(deliveriesLink({ status: ["pending", "parked"] }))}>
            Show them
          </LinkButton>
        )
      }
    >
      {isQuiet ? (
        <EmptyState icon={<CircleCheck aria-hidden />} title="Nothing is stuck">
          Everything that was reported has gone out.
        </EmptyState>
      ) : (
        <ul className="divide-y divide-line">
          {parked.count > 0 && <Line label="Parked" sentence="They wait for somebody to set their connection right." amount={atLeast(parked)} />}
          {waiting.by_reason.map((one) => {
            const { label, sentence, remedy } = reason(one.reason);
            return <Line key={one.reason} label={label} sentence={[sentence, remedy].filter(Boolean).join(" ")} amount={atLeast(one)} oldest={one.oldest_at} />;
          })}
        </ul>
      )}
    </Card>
  );
}

function Line({ label, sentence, amount, oldest }: { label: string; sentence: string; amount: string; oldest?: string | null }) {
  return (
    <li className="flex items-start gap-4 px-4 py-2.5">
      <div className="min-w-0 flex-1">
        <p className="text-sm font-medium">{label}</p>
        <p className="text-xs text-muted">{sentence}</p>
      </div>
      <div className="shrink-0 text-right">
        <p className="tabular text-sm font-semibold">{amount}</p>
        {oldest && (
          <p className="text-xs text-faint">
            oldest <Time at={oldest} />
          </p>
        )}
      </div>
    </li>
  );
}
