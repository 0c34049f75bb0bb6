// Server-sent events over fetch: EventSource cannot send an Authorization header.

export interface ServerEvent {
  event: string;
  data: string;
  id: string;
}

/** Takes the stream in pieces, as they come, and gives the events that are whole. */
export class EventParser {
  #rest = "";
  #data: string[] = [];
  #event = "";
  /** Of the last event that had one: what `Last-Event-ID` says after a break. */
  lastId = "";
  /** What the server asks to wait before a new attempt. */
  retryMilliseconds: number | null = null;

  push(piece: string): ServerEvent[] {
    const text = this.#rest + piece;
    // A CR at the end may be half of a CRLF.
    const held = text.endsWith("\r") ? 1 : 0;
    const lines = text.slice(0, text.length - held).split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? "") + text.slice(text.length - held);
    return lines.flatMap((line) => this.#line(line));
  }

  #line(line: string): ServerEvent[] {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return [];
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.lastId = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMilliseconds = Number(value);
    return [];
  }

  #dispatch(): ServerEvent[] {
    const event = { event: this.#event || "message", data: this.#data.join("\n"), id: this.lastId };
    const isEmpty = this.#data.length === 0;
    this.#data = [];
    this.#event = "";
    return isEmpty ? [] : [event];
  }
}

export type StreamState = "connecting" | "open" | "waiting" | "refused";

export interface StreamOptions {
  /** Opens the stream; the id is that of the last event seen. */
  open: (lastId: string, signal: AbortSignal) => Promise<Response>;
  onEvent: (event: ServerEvent) => void;
  onState: (state: StreamState, why?: string) => void;
  /** A gap: the stream was away for longer than it can be resumed, so lists have to be read again. */
  onGap?: () => void;
  signal: AbortSignal;
  /** Waits before attempt `n`; given in tests. */
  wait?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  now?: () => number;
}

/** The server keeps events for this long. */
const RESUMABLE_MILLISECONDS = 5 * 60_000;

/** It sends a comment each 15 s: after three of them missing the stream is dead, whatever TCP says. */
const SILENCE_MILLISECONDS = 45_000;

const LONGEST_WAIT = 30_000;

/** How long to wait before the next attempt: doubling from a second, and each client at its own moment. */
export function reconnectDelay(failures: number, draw: number): number {
  const ceiling = Math.min(LONGEST_WAIT, 1_000 * 2 ** Math.min(failures, 10));
  return Math.round(ceiling * (0.5 + draw / 2));
}

/** Reads a stream until it is told to stop, and opens it again whenever it breaks. */
export async function follow(options: StreamOptions): Promise<void> {
  const wait = options.wait ?? pause;
  const now = options.now ?? Date.now;
  let lastId = "";
  let failures = 0;
  let lostAt: number | null = null;
  while (!options.signal.aborted) {
    options.onState("connecting");
    const outcome = await once(options, lastId, () => {
      if (lostAt !== null && (lastId === "" || now() - lostAt > RESUMABLE_MILLISECONDS)) options.onGap?.();
      lostAt = null;
      failures = 0;
      options.onState("open");
    });
    lastId = outcome.lastId;
    if (options.signal.aborted) return;
    if (outcome.refused !== null) {
      options.onState("refused", outcome.refused);
      return;
    }
    lostAt ??= now();
    options.onState("waiting");
    const asked = Math.min(outcome.retryMilliseconds ?? 0, LONGEST_WAIT);
    await wait(Math.max(asked, reconnectDelay(failures, Math.random())), options.signal);
    failures += 1;
  }
}

interface Outcome {
  lastId: string;
  /** A sentence where trying again is of no use. */
  refused: string | null;
  retryMilliseconds: number | null;
}

async function once(options: StreamOptions, lastId: string, opened: () => void): Promise<Outcome> {
  const parser = new EventParser();
  parser.lastId = lastId;
  // One of its own, so that a silent stream can be given up.
  const attempt = new AbortController();
  const stop = () => {
    attempt.abort();
  };
  options.signal.addEventListener("abort", stop, { once: true });
  if (options.signal.aborted) stop();
  let watchdog: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(stop, SILENCE_MILLISECONDS);
  };
  let refused: string | null = null;
  try {
    heard();
    const response = await options.open(lastId, attempt.signal);
    if (response.ok && response.body) {
      opened();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        heard();
        for (const event of parser.push(value)) options.onEvent(event);
      }
    } else if (isFinal(response.status)) {
      refused = await sentence(response);
    }
  } catch {
    // A broken stream is opened again; what it said so far holds.
  } finally {
    clearTimeout(watchdog);
    options.signal.removeEventListener("abort", stop);
  }
  return { lastId: parser.lastId, refused, retryMilliseconds: parser.retryMilliseconds };
}

/** Answers that will be the same next time: not those that ask to wait, nor a token that the session renews. */
function isFinal(status: number): boolean {
  return status >= 400 && status < 500 && ![401, 408, 429].includes(status);
}

async function sentence(response: Response): Promise<string> {
  try {
    const body = (await response.json()) as { error?: unknown };
    if (typeof body.error === "string") return body.error;
  } catch {
    // No JSON: the status has to do.
  }
  return `The server answered ${response.status}.`;
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done, { once: true });
  });
}
