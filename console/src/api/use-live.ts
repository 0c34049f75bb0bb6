// Follows what happens in an organization while a page is open.
import { useEffect, useRef, useState } from "react";

import { follow, type StreamState } from "@/lib/sse";
import { fill, search, send } from "./client";
import { ApiError } from "./errors";

export interface LiveEvent {
  /** `delivery`; `lagged` and `gap` where more happened than was told: then lists are read anew. */
  event: string;
  data: unknown;
}

/** `off` while it is not followed. */
export type LiveState = StreamState | "off";

const ADDRESS = "/api/organizations/{org}/live";

/** `tell` may change between renders; the stream begins anew only when its address does. */
export function useLive(org: string, query: Record<string, unknown>, tell: (event: LiveEvent) => void, isOn = true) {
  const [state, setState] = useState<StreamState>("connecting");
  const [why, setWhy] = useState<string | null>(null);
  const latest = useRef(tell);
  useEffect(() => {
    latest.current = tell;
  });
  const address = fill(ADDRESS, { org }) + search(query);
  useEffect(() => {
    if (!isOn) return;
    const stop = new AbortController();
    void follow({
      open: (lastId, signal) => open(address, lastId, signal),
      onEvent: ({ event, data }) => {
        const value = parsed(data);
        if (value !== undefined) latest.current({ event, data: value });
      },
      onGap: () => latest.current({ event: "gap", data: null }),
      onState: (now, sentence) => {
        if (stop.signal.aborted) return;
        setState(now);
        setWhy(sentence ?? null);
      },
      signal: stop.signal,
    });
    return () => stop.abort();
  }, [address, isOn]);
  return { state: isOn ? state : ("off" as const), why: isOn ? why : null };
}

async function open(address: string, lastId: string, signal: AbortSignal): Promise<Response> {
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (lastId) headers["last-event-id"] = lastId;
  try {
    return await send(address, { headers, signal });
  } catch (error) {
    // What was refused is told apart by its status; what did not come through is tried again.
    if (!(error instanceof ApiError) || error.status === 0) throw error;
    return Response.json({ error: error.message, code: error.code }, { status: error.status });
  }
}

/** Broken JSON is not ours to guess at. */
function parsed(data: string): unknown {
  try {
    return JSON.parse(data) as unknown;
  } catch {
    return undefined;
  }
}
