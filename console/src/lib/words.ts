// What the engine's codes mean, in sentences, and what an admin can do about each.

import type { Tone } from "@/components/badge";
import { humanise } from "./text";

export const STATUSES = ["pending", "parked", "delivered", "dead", "skipped", "cancelled", "expired"] as const;

export type DeliveryStatus = (typeof STATUSES)[number];

const STATUS_SENTENCES: Record<DeliveryStatus, string> = {
  pending: "It is due, or waits for its next attempt.",
  parked: "It is kept, and goes out once the connection is set right.",
  delivered: "The receiver took it.",
  dead: "It was given up. It can be replayed.",
  skipped: "It was not sent, because of how the connection stood or because there was nothing to do.",
  cancelled: "Its connection was removed.",
  expired: "It could not be sent for as long as its event was kept.",
};

export function isStatus(text: string): text is DeliveryStatus {
  return (STATUSES as readonly string[]).includes(text);
}

export function statusSentence(status: string): string {
  return isStatus(status) ? STATUS_SENTENCES[status] : "";
}

export interface Meaning {
  label: string;
  /** What it means. */
  sentence: string;
  /** What can be done; nothing where there is nothing to do. */
  remedy?: string;
}

const REASONS: Record<string, Meaning> = {
  // Waiting.
  due: { label: "Due now", sentence: "It goes next." },
  sending: { label: "Being sent", sentence: "It is under way at this moment." },
  scheduled: { label: "Scheduled", sentence: "It was tried, and waits for its next attempt." },
  held: {
    label: "Held",
    sentence: "The receiver asked for peace, so everything for it waits.",
    remedy: "It goes out by itself when the hold ends.",
  },
  breaker_open: {
    label: "Circuit breaker open",
    sentence: "The receiver failed so often that only a probe goes to it now and then.",
    remedy: "It goes out by itself once a probe succeeds. Look at the receiver.",
  },
  rate_limited: { label: "Rate limited", sentence: "The connection’s own rate limit spaces its requests." },
  paced: { label: "Paced", sentence: "The provider allows only so many requests; this one waits for its turn." },
  ticket_busy: { label: "Ticket busy", sentence: "Another delivery of the same subject goes first." },
  token_unavailable: {
    label: "No token",
    sentence: "No access token was to be had just then.",
    remedy: "It is tried again by itself.",
  },
  collected: { label: "In a digest", sentence: "It is gathered into the connection’s next digest." },
  behind_another: {
    label: "Behind another",
    sentence: "The connection is ordered, and an earlier delivery is not finished.",
  },
  operator_fault: {
    label: "Operator’s fault",
    sentence: "A setting or registration of this Relay is wrong; the receiver is not charged.",
    remedy: "Tell the operator: the workers’ log names it.",
  },
  own_fault: {
    label: "Our fault",
    sentence: "Something of Relay’s own was away; the receiver is not charged.",
    remedy: "It is tried again by itself.",
  },
  // Parked.
  reauth_required: {
    label: "Sign-in ended",
    sentence: "The provider no longer accepts our access.",
    remedy: "Connect the account again: what is parked goes out.",
  },
  suspended_at_provider: {
    label: "Suspended at provider",
    sentence: "The account is switched off at the provider.",
    remedy: "Unsuspend it there, or connect again.",
  },
  disconnected_at_provider: {
    label: "Removed at provider",
    sentence: "Somebody removed the app at the provider.",
    remedy: "Connect the account again.",
  },
  no_destination: {
    label: "No destination",
    sentence: "No channel, project or repository is chosen.",
    remedy: "Choose one in the connection’s settings: what is parked goes out.",
  },
  wrong_destination: {
    label: "Destination refused",
    sentence: "The chosen destination does not take it.",
    remedy: "Choose another destination, then replay.",
  },
  head_of_line: {
    label: "Out of line",
    sentence: "It failed as often as its ordered connection allows, and those behind it went on.",
    remedy: "Replay it once the receiver takes it.",
  },
  // Ended.
  retries_exhausted: {
    label: "Retries exhausted",
    sentence: "The receiver failed through the whole schedule.",
    remedy: "Replay when it is back.",
  },
  rejected: { label: "Rejected", sentence: "The provider will never take it as it is; the error has its word." },
  gone: {
    label: "Receiver gone",
    sentence: "It answered 410, so the connection is suspended.",
    remedy: "Resume the connection, then replay.",
  },
  poison: {
    label: "Quarantined",
    sentence: "Its attempt was cut off three times in a row.",
    remedy: "Have the operator look at the workers’ log before replaying.",
  },
  secret_unreadable: {
    label: "Secret unreadable",
    sentence: "The sealed secret cannot be opened with the present keys.",
    remedy: "Tell the operator.",
  },
  event_missing: { label: "Event gone", sentence: "Its event is no longer kept." },
  unsendable: {
    label: "No usable address",
    sentence: "The connection has no usable address.",
    remedy: "Set one in the connection’s settings, then replay.",
  },
  parked_too_long: { label: "Parked too long", sentence: "Nobody set the connection right while its event was kept." },
  waited_too_long: {
    label: "Waited too long",
    sentence: "It was put off, at nobody’s charge, for as long as events are kept.",
  },
  connection_paused: {
    label: "Connection paused",
    sentence: "The connection was paused when the event came.",
    remedy: "Replay after it is resumed.",
  },
  connection_suspended: {
    label: "Connection suspended",
    sentence: "The connection was suspended when the event came.",
    remedy: "Replay after it is resumed.",
  },
  connection_error: {
    label: "Connection in error",
    sentence: "The connection has to be connected again first.",
    remedy: "Connect the account again.",
  },
  connection_disconnected: { label: "Disconnected", sentence: "The connection was disconnected." },
  connection_removed: {
    label: "Connection removed",
    sentence: "The connection was removed, so it cannot be replayed.",
  },
  // Skipped: nothing to do.
  no_ticket: { label: "No ticket", sentence: "There was no ticket of ours to close or comment on." },
  already_closed: { label: "Already closed", sentence: "The ticket was closed before." },
  ticket_gone: { label: "Ticket gone", sentence: "Somebody removed the ticket at the provider." },
  not_for_tickets: { label: "Not for tickets", sentence: "Ticketing services open nothing for this kind of event." },
  nothing_to_mark: { label: "Nothing to mark", sentence: "The event names no commit or merge request." },
  nothing_to_do: { label: "Nothing to do", sentence: "There was nothing to do for this event." },
  nothing_sent: { label: "Nothing sent", sentence: "The provider had nothing to be sent." },
  nowhere: { label: "Nowhere", sentence: "There was no place for it." },
};

/** Why a replay leaves one out, or a connection cannot be replayed to. */
const BLOCKS: Record<string, Meaning> = {
  connection_not_connected: {
    label: "Not connected",
    sentence: "The connection takes nothing now.",
    remedy: "Resume it or connect it again first.",
  },
  event_expired: { label: "Event gone", sentence: "The event is no longer kept." },
  delivery_in_flight: { label: "Being sent", sentence: "It is being sent at this moment." },
};

/** Whether there are words of its own for a code. */
export function isKnownReason(code: string): boolean {
  return own(REASONS, code) !== undefined || own(BLOCKS, code) !== undefined;
}

export function reason(code: string): Meaning {
  return own(REASONS, code) ?? own(BLOCKS, code) ?? { label: humanise(code), sentence: "" };
}

const ERROR_CLASSES: Record<string, string> = {
  blocked: "Address refused",
  dns: "Name not found",
  resolver: "Our name servers did not answer",
  connect: "No connection",
  tls: "TLS failed",
  tls_expired: "Certificate expired",
  tls_hostname: "Certificate of another host",
  tls_untrusted: "Certificate not trusted",
  timeout: "Timed out",
  reset: "Connection reset",
  protocol: "Not HTTP",
  http_3xx: "Redirect (not followed)",
  http_4xx: "Refused (4xx)",
  http_5xx: "Server error (5xx)",
  http_other: "Unusual status",
};

/** The classes that every receiver can show; a provider's own codes come beside them. */
export const KNOWN_ERROR_CLASSES = Object.keys(ERROR_CLASSES);

export function errorClass(code: string): string {
  return own(ERROR_CLASSES, code) ?? code;
}

const SETTLEMENTS: Record<string, { label: string; tone: Tone }> = {
  delivered: { label: "Delivered", tone: "good" },
  retrying: { label: "Failed, retried", tone: "warn" },
  parked: { label: "Parked", tone: "warn" },
  dead: { label: "Given up", tone: "bad" },
  skipped: { label: "Skipped", tone: "idle" },
  cancelled: { label: "Cancelled", tone: "idle" },
  expired: { label: "Expired", tone: "bad" },
};

export function settlement(code: string): { label: string; tone: Tone } {
  return own(SETTLEMENTS, code) ?? { label: humanise(code), tone: "idle" };
}

const CLASSES: Record<string, string> = { live: "Live", retry: "Retry", replay: "Replay" };

export function deliveryClass(code: string): string {
  return own(CLASSES, code) ?? humanise(code);
}

/** An HTTP status by its hundred. */
export function statusCodeTone(code: number): Tone {
  if (code >= 200 && code < 300) return "good";
  if (code === 429 || (code >= 300 && code < 400)) return "warn";
  return "bad";
}

const VERDICTS: Record<string, { label: string; tone: Tone }> = {
  delivered: { label: "Delivered", tone: "good" },
  pending: { label: "On its way", tone: "info" },
  parked: { label: "Parked", tone: "warn" },
  dead: { label: "Given up", tone: "bad" },
  skipped: { label: "Skipped", tone: "idle" },
  cancelled: { label: "Cancelled", tone: "idle" },
  expired: { label: "Expired", tone: "bad" },
  not_matched: { label: "Did not match", tone: "idle" },
  connected_later: { label: "Connected later", tone: "idle" },
  removed_before: { label: "Removed before", tone: "idle" },
};

export function verdict(code: string): { label: string; tone: Tone } {
  return own(VERDICTS, code) ?? { label: humanise(code), tone: "idle" };
}

const CHECKS: Record<string, string> = {
  existed: "The connection existed",
  connected: "It was connected",
  not_paused: "It was not paused",
  scope: "Its scope covers the event",
  type: "It subscribes to the kind",
  conditions: "Its conditions hold",
  not_its_own: "The event is not about itself",
};

export function check(code: string): string {
  return own(CHECKS, code) ?? humanise(code);
}

export const REPLAY_STATUSES = ["counting", "running", "paused", "completed", "cancelled", "failed"] as const;

/** Codes come from elsewhere: one may be called like something that every object has. */
function own<T>(words: Record<string, T>, code: string): T | undefined {
  return Object.hasOwn(words, code) ? words[code] : undefined;
}
