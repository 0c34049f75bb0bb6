// What is the matter with a connection, the worst first, and what follows by itself.

import { relative } from "./format";
import { reason } from "./words";

export interface Trouble {
  status: string;
  failing_since?: string | null | undefined;
  held_until?: string | null | undefined;
  held_because?: string | null | undefined;
  breaker_open_until?: string | null | undefined;
}

export interface TroubleWord {
  word: string;
  sentence: string;
  isBad: boolean;
}

export function troubles(trouble: Trouble, now: number): TroubleWord[] {
  const found: TroubleWord[] = [];
  if (trouble.status === "error") {
    found.push({ word: "Error", sentence: "The provider no longer lets Relay in. Connect the account again.", isBad: true });
  }
  if (trouble.status === "suspended") {
    found.push({ word: "Suspended", sentence: "It is switched off until an admin resumes it.", isBad: true });
  }
  if (isAhead(trouble.breaker_open_until, now)) {
    const sentence = `It failed so often that only a probe goes there, the next one ${ahead(trouble.breaker_open_until, now)}.`;
    found.push({ word: "Breaker open", sentence, isBad: true });
  }
  if (isAhead(trouble.held_until, now)) {
    const code = trouble.held_because ?? "throttled";
    const because = code === "throttled" ? "It asked us to wait." : `${reason(code).label}.`;
    found.push({ word: "Held", sentence: `${because} Sending goes on ${ahead(trouble.held_until, now)}.`, isBad: false });
  }
  if (trouble.failing_since) {
    found.push({ word: "Failing", sentence: `Nothing that was tried has arrived since ${relative(trouble.failing_since, now)}.`, isBad: true });
  }
  return found;
}

function isAhead(at: string | null | undefined, now: number): at is string {
  return at !== null && at !== undefined && Date.parse(at) > now;
}

function ahead(at: string, now: number): string {
  const words = relative(at, now);
  return words.startsWith("in ") ? words : "any moment now";
}
