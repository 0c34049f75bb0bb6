// The stream is cut anywhere, breaks, falls silent, and is refused; the reader goes on or says why not.
import { afterEach, describe, expect, it, vi } from "vitest";

import { EventParser, follow, reconnectDelay, type ServerEvent, type StreamState } from "./sse";

describe("EventParser", () => {
  const text =
    'retry: 1500\n: heartbeat\n\nid: 7\nevent: delivery\ndata: {"a":1}\n\ndata: x\r\ndata:y\r\nid: 8\r\n\r\nevent: empty\n\n';
  const expected: ServerEvent[] = [
    { event: "delivery", data: '{"a":1}', id: "7" },
    { event: "message", data: "x\ny", id: "8" },
  ];

  it("reads the same wherever the stream is cut", () => {
    for (let cut = 0; cut <= text.length; cut += 1) {
      const parser = new EventParser();
      expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual(expected);
      expect([parser.lastId, parser.retryMilliseconds]).toEqual(["8", 1500]);
    }
    const parser = new EventParser();
    expect([...text].flatMap((letter) => parser.push(letter))).toEqual(expected);
  });

  it("keeps what is not finished for later, and nothing of a comment", () => {
    const parser = new EventParser();
    expect(parser.push(": hello\n\ndata: half")).toEqual([]);
    expect(parser.push("\n\n")).toEqual([{ event: "message", data: "half", id: "" }]);
  });

  it("ignores an id with a null character and a retry that is no number", () => {
    const parser = new EventParser();
    parser.push("id: a\0b\nretry: soon\ndata: x\n\n");
    expect([parser.lastId, parser.retryMilliseconds]).toEqual(["", null]);
  });
});

describe("reconnectDelay", () => {
  it("doubles, has a ceiling, and is spread out", () => {
    expect(reconnectDelay(0, 1)).toBe(1_000);
    expect(reconnectDelay(3, 1)).toBe(8_000);
    expect(reconnectDelay(50, 1)).toBe(30_000);
    expect(reconnectDelay(3, 0)).toBe(4_000);
  });
});

function stream(...pieces: string[]): Response {
  const encoder = new TextEncoder();
  return new Response(
    new ReadableStream({
      start(controller) {
        for (const piece of pieces) controller.enqueue(encoder.encode(piece));
        controller.close();
      },
    }),
  );
}

/** Follows until the answers are used up. */
async function play(answers: (() => Response | Promise<Response>)[], now: () => number = () => 0) {
  const stop = new AbortController();
  const asked: string[] = [];
  const events: ServerEvent[] = [];
  const states: [StreamState, string?][] = [];
  let gaps = 0;
  await follow({
    open: (lastId) => {
      asked.push(lastId);
      const answer = answers.shift();
      if (!answer) {
        stop.abort();
        throw new Error("stopped");
      }
      return Promise.resolve(answer());
    },
    onEvent: (event) => events.push(event),
    onState: (state, why) => states.push(why === undefined ? [state] : [state, why]),
    onGap: () => (gaps += 1),
    signal: stop.signal,
    wait: () => Promise.resolve(),
    now,
  });
  return { asked, events, states, gaps };
}

describe("follow", () => {
  afterEach(() => vi.useRealTimers());

  it("goes on from the last id after a break", async () => {
    const seen = await play([() => stream("id: 1\ndata: a\n\n"), () => stream("id: 2\ndata: b\n\n")]);
    expect(seen.asked).toEqual(["", "1", "2"]);
    expect(seen.events.map((event) => event.data)).toEqual(["a", "b"]);
    expect(seen.gaps).toBe(0);
  });

  it("tries again after a failure, and after too many streams", async () => {
    const tooMany = () => Response.json({ error: "Too many", code: "too_many_streams" }, { status: 429 });
    const renewed = () => Response.json({ error: "Expired", code: "unauthorized" }, { status: 401 });
    const broken = () => Promise.reject(new Error("reset"));
    const seen = await play([broken, tooMany, renewed, () => stream("data: a\n\n")]);
    expect(seen.events).toHaveLength(1);
    expect(seen.states.map(([state]) => state)).not.toContain("refused");
  });

  it("stops where trying again is of no use, with the server's sentence", async () => {
    const seen = await play([
      () => Response.json({ error: "You may not", code: "forbidden" }, { status: 403 }),
      () => stream("data: never\n\n"),
    ]);
    expect(seen.states.at(-1)).toEqual(["refused", "You may not"]);
    expect(seen.events).toEqual([]);
  });

  it("tells of a gap when it was away for longer than it can be resumed", async () => {
    const times = [0, 6 * 60_000, 6 * 60_000, 6 * 60_000];
    const seen = await play(
      [() => stream("id: 1\ndata: a\n\n"), () => stream("id: 2\ndata: b\n\n")],
      () => times.shift() ?? 0,
    );
    expect(seen.gaps).toBe(1);
  });

  it("tells of a gap when there is nothing to resume from", async () => {
    const seen = await play([() => stream(": nothing yet\n\n"), () => stream("id: 2\ndata: b\n\n")]);
    expect(seen.gaps).toBe(1);
  });

  it("gives up a stream that fell silent", async () => {
    vi.useFakeTimers();
    const stop = new AbortController();
    let opened = 0;
    const done = follow({
      open: (_, signal) => {
        opened += 1;
        if (opened === 2) {
          stop.abort();
          throw new Error("stopped");
        }
        return Promise.resolve(
          new Response(
            new ReadableStream({ start: (c) => signal.addEventListener("abort", () => c.error(new Error("aborted"))) }),
          ),
        );
      },
      onEvent: () => {},
      onState: () => {},
      signal: stop.signal,
      wait: () => Promise.resolve(),
    });
    await vi.advanceTimersByTimeAsync(44_000);
    expect(opened).toBe(1);
    await vi.advanceTimersByTimeAsync(2_000);
    await done;
    expect(opened).toBe(2);
  });
});
