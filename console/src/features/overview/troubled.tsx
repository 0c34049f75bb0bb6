// Connections that do not work as they should, with what is the matter.
import { CircleCheck } from "lucide-react";
import { Link } from "react-router";

import { useOrganizationPath } from "@/app/organization";
import type { Troubled as TroubledConnection } from "@/api/shapes";
import { Badge } from "@/components/badge";
import { Card } from "@/components/card";
import { EmptyState } from "@/components/states";
import { ProviderIcon } from "@/features/integrations/provider-icon";
import { deliveriesLink } from "@/lib/filters";
import { atLeast } from "@/lib/format";
import { troubles } from "@/lib/trouble";

export function Troubled({ connections }: { connections: readonly TroubledConnection[] }) {
  return (
    <Card title="Connections in trouble" isFlush>
      {connections.length === 0 ? (
        <EmptyState icon={<CircleCheck aria-hidden />} title="All connections are well">
          None fails, is held, or is left alone.
        </EmptyState>
      ) : (
        <ul className="divide-y divide-line">
          {connections.map((one) => (
            <Row key={one.connection_id} connection={one} />
          ))}
        </ul>
      )}
    </Card>
  );
}

function Row({ connection }: { connection: TroubledConnection }) {
  const path = useOrganizationPath();
  const found = troubles(connection, Date.now());
  return (
    <li className="flex items-start gap-3 px-4 py-3">
      <ProviderIcon provider={connection.provider} />
      <div className="min-w-0 flex-1">
        <p className="flex flex-wrap items-center gap-x-2 gap-y-1">
          <Link to={path(`connections/${connection.connection_id}`)} title={connection.name} className="max-w-full truncate rounded text-sm font-medium hover:underline">
            <bdi>{connection.name}</bdi>
          </Link>
          {found.map((one) => (
            <Badge key={one.word} tone={one.isBad ? "bad" : "warn"}>
              {one.word}
            </Badge>
          ))}
        </p>
        {found.map((one) => (
          <p key={one.word} className="mt-0.5 text-xs text-muted">
            {one.sentence}
          </p>
        ))}
      </div>
      {connection.waiting.count > 0 && (
        <Link
          to={path(deliveriesLink({ status: ["pending", "parked"], connection_id: connection.connection_id }))}
          className="tabular shrink-0 rounded text-right text-xs text-muted hover:text-ink hover:underline"
        >
          <span className="block text-sm font-semibold text-ink">{atLeast(connection.waiting)}</span> waiting
        </Link>
      )}
    </li>
  );
}
