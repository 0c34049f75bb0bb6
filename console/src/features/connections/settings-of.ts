// The settings of a connection as names and texts, to be shown and compared.
import type { Connection } from "@/api/connections";
import { destinationOf } from "@/lib/destination";
import { plural } from "@/lib/format";
import { writeSchedule } from "@/lib/schedule";

export const ORDERINGS: Record<string, string> = {
  block: "In order; those behind one that fails wait",
  skip: "In order; those behind one that fails go first",
  park: "In order; one that fails is parked",
};

export function settingsOf(connection: Connection): [string, string][] {
  const { rate_limit: limit, ordering, digest_minutes: minutes } = connection;
  return [
    ["Status", connection.status + (connection.status_reason ? `: ${connection.status_reason}` : "")],
    ["Name", connection.display_name],
    ["Paused", connection.paused ? "yes" : "no"],
    ["Goes to", destinationOf(connection) ?? ""],
    ["Events", connection.event_types.join(", ")],
    ["Conditions", connection.conditions ? JSON.stringify(connection.conditions, null, 2) : ""],
    ["Team", connection.team_id ?? ""],
    ["Project", connection.project_id ?? ""],
    ["Retries", connection.retry_schedule ? writeSchedule(connection.retry_schedule) || "one attempt only" : "default"],
    ["Headers", connection.header_names.join(", ")],
    ["Rate limit", limit ? `${limit.count} in ${plural(limit.seconds, "second")}` : ""],
    ["Order", ordering ? (ORDERINGS[ordering.policy] ?? ordering.policy) + (ordering.after ? ` after ${plural(ordering.after, "attempt")}` : "") : ""],
    ["Digest", minutes ? `every ${plural(minutes, "minute")}` : ""],
    ["Version", String(connection.version)],
  ];
}
