// What a replay selects, as short terms.
import { useOrganization } from "@/app/organization";
import { useConnectionName } from "@/api/connections";
import { Badge } from "@/components/badge";
import { Time } from "@/components/time";
import { selectionTerms, type Selection } from "@/lib/replay";
import { errorClass } from "@/lib/words";

export function Terms({ selection }: { selection: Selection }) {
  const { id: org } = useOrganization();
  const connectionName = useConnectionName(org);
  const terms = selectionTerms(selection);
  if (terms.length === 0) return <span className="text-sm text-muted">Everything that failed</span>;
  return (
    <ul className="flex min-w-0 flex-wrap gap-1.5">
      {terms.map((term) => (
        <li key={term.name} className="max-w-full min-w-0">
          <Badge className="max-w-full rounded-md">
            <span className="font-normal">{term.name}</span>{" "}
            {term.isInstant ? (
              <Time at={term.value} isExact />
            ) : (
              <bdi className="truncate" title={term.value}>
                {term.name === "connection" ? connectionName(term.value) : term.name === "error" ? errorClass(term.value) : term.value}
              </bdi>
            )}
          </Badge>
        </li>
      ))}
    </ul>
  );
}
