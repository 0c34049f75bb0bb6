// The names of what is kept of answers. All of an organization's begin with it, so that it can be forgotten whole.

type Filters = Record<string, unknown>;

export const keys = {
  catalogue: ["catalogue"] as const,
  eventTypes: ["event-types"] as const,
  overview: (org: string) => [org, "overview"] as const,
  /** Every list and every single connection. */
  connections: (org: string) => [org, "connections"] as const,
  connectionList: (org: string, filters: Filters = {}) => [org, "connections", "list", filters] as const,
  connection: (org: string, id: string) => [org, "connections", "one", id] as const,
  connectionAsOf: (org: string, id: string, at: string | null) => [org, "connections", "one", id, "as-of", at] as const,
  history: (org: string, id: string) => [org, "connections", "one", id, "history"] as const,
  statistics: (org: string, id: string, range: Filters) => [org, "connections", "one", id, "statistics", range] as const,
  preview: (org: string, id: string, wish: string | null) => [org, "connections", "one", id, "preview", wish] as const,
  destinations: (org: string, id: string, search: string) => [org, "connections", "one", id, "destinations", search] as const,
  deliveries: (org: string) => [org, "deliveries"] as const,
  deliveryList: (org: string, filters: Filters) => [org, "deliveries", "list", filters] as const,
  delivery: (org: string, id: string) => [org, "deliveries", "one", id] as const,
  eventList: (org: string, filters: Filters) => [org, "events", "list", filters] as const,
  event: (org: string, id: string) => [org, "events", "one", id] as const,
  why: (org: string, id: string, connection: string) => [org, "events", "one", id, "why", connection] as const,
  replays: (org: string) => [org, "replays"] as const,
  replayList: (org: string, filters: Filters) => [org, "replays", "list", filters] as const,
  replay: (org: string, id: string) => [org, "replays", "one", id] as const,
  /** Not one of the replays: to start one does not change what another would do. */
  dryRun: (org: string, selection: object, configuration: string) => [org, "dry-run", selection, configuration] as const,
};
