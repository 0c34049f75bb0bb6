// The API's shapes by the names that these pages use.
import type { Schema } from "./client";
import type { WithData } from "./with-data";

export type Delivery = Schema<"Delivery">;
export type DeliveryDetail = WithData<Schema<"DeliveryDetail">>;
export type DeliveryPage = Schema<"DeliveryPage">;
export type Attempt = Schema<"Attempt">;
export type SentRequest = Schema<"AttemptRequest">;
export type ReceivedResponse = Schema<"AttemptResponse">;

export type EventItem = Schema<"Event">;
export type EventDetail = WithData<Schema<"EventDetail">>;
export type DeliveryCounts = Schema<"DeliveryCounts">;
export type Why = Schema<"Why">;

export type Overview = Schema<"Overview">;
export type OverviewHour = Schema<"Hour">;
export type Troubled = Schema<"TroubledConnection">;
export type ConnectionDay = Schema<"ConnectionOverview">;

export type Replay = Schema<"Replay">;
export type DryRun = Schema<"ReplayPreview">;
