// The cells that tables of deliveries share: what it was, where it went, what came of it.
import { Link } from "react-router";

import { useOrganizationPath } from "@/app/organization";
import type { Delivery } from "@/api/shapes";
import { Badge } from "@/components/badge";
import { Time } from "@/components/time";
import { ProviderIcon } from "@/features/integrations/provider-icon";
import { plural } from "@/lib/format";
import { errorClass, reason, statusCodeTone } from "@/lib/words";

/** The kind of the event and its subject; the link that opens the delivery. Where there is no room for columns, where it went and when too. */
export function EventCell({ delivery }: { delivery: Delivery }) {
  const path = useOrganizationPath();
  const name = delivery.event ?? "Event no longer kept";
  return (
    <span className="flex min-w-0 flex-col xl:flex-row xl:items-baseline xl:gap-2">
      <Link to={path(`deliveries/${delivery.id}`)} title={name} className="min-w-0 truncate rounded font-medium hover:underline xl:max-w-[75%] xl:shrink-0">
        <bdi>{name}</bdi>
      </Link>
      {delivery.subject && (
        <bdi title={delivery.subject} className="min-w-0 truncate text-left text-xs text-muted">
          {delivery.subject}
        </bdi>
      )}
      <span className="flex min-w-0 gap-1.5 text-xs text-muted lg:hidden">
        <bdi className="truncate">{delivery.connection_name}</bdi>
        <span className="text-faint">·</span>
        <Time at={delivery.created_at} />
      </span>
    </span>
  );
}

export function ConnectionCell({ provider, name, id }: { provider: string; name: string; id: string }) {
  const path = useOrganizationPath();
  return (
    <span className="flex min-w-0 items-center gap-2">
      <ProviderIcon provider={provider} size="sm" />
      <Link to={path(`connections/${id}`)} title={name || undefined} className="min-w-0 truncate rounded hover:underline">
        <bdi>{name || "Removed connection"}</bdi>
      </Link>
    </span>
  );
}

/** The last answer, and the reason or error beside it. */
export function OutcomeCell({ delivery }: { delivery: Delivery }) {
  const { status_code: code, error_class: error, reason: why } = delivery;
  const isAnswer = error?.startsWith("http_") ?? false;
  const words = why ? reason(why).label : error && !isAnswer ? errorClass(error) : null;
  const full = [why && reason(why).sentence, error && errorClass(error), delivery.error].filter(Boolean).join(" · ");
  return (
    <span className="flex min-w-0 items-center gap-2">
      {code ? <StatusCode code={code} /> : null}
      {words ? (
        <span title={full || undefined} className="foreign min-w-0 truncate text-xs text-muted">
          {words}
        </span>
      ) : (
        <Made delivery={delivery} />
      )}
      <Attempts delivery={delivery} />
    </span>
  );
}

/** Only where there is more to say than "once". */
function Attempts({ delivery: { attempts, class: kind } }: { delivery: Delivery }) {
  const isReplay = kind === "replay";
  if (attempts < 2 && !isReplay) return null;
  return (
    <span className="tabular ml-auto shrink-0 text-xs text-faint" title={`${plural(attempts, "request")}${isReplay ? ", replayed" : ""}`}>
      {isReplay && <span className="mr-1.5 rounded bg-accent-soft px-1 py-0.5 text-2xs text-accent-ink">replay</span>}
      {attempts}×
    </span>
  );
}

function Made({ delivery }: { delivery: Delivery }) {
  if (!delivery.external_id) return null;
  return (
    <bdi title={`Made at the provider: ${delivery.external_id}`} className="min-w-0 truncate font-mono text-xs text-muted">
      {delivery.external_id}
    </bdi>
  );
}

export function StatusCode({ code }: { code: number }) {
  return (
    <Badge tone={statusCodeTone(code)} className="tabular rounded-md font-mono">
      {code}
    </Badge>
  );
}
