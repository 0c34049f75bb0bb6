// JSON as it was written: numbers keep their digits, objects their order and their repeated keys.

import { visible } from "./unseen";

export type JsonNode =
  | { kind: "object"; entries: { key: string; value: JsonNode }[] }
  | { kind: "array"; items: JsonNode[] }
  | { kind: "string"; text: string }
  | { kind: "number"; text: string }
  | { kind: "word"; text: "true" | "false" | "null" };

/** Deeper than anything that Relay takes; it keeps a hostile answer from exhausting the stack. */
const DEPTH_MAX = 200;

class NotJson extends Error {}

/** The tree of a JSON text, or null where it is none. */
export function parseTree(text: string): JsonNode | null {
  try {
    return new Reader(text).whole();
  } catch (error) {
    if (error instanceof NotJson) return null;
    throw error;
  }
}

/** The text of a member of the outermost object, byte for byte; null where there is none. */
export function memberText(text: string, name: string): string | null {
  try {
    return new Reader(text).member(name);
  } catch (error) {
    if (error instanceof NotJson) return null;
    throw error;
  }
}

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  whole(): JsonNode {
    const node = this.#value(0);
    this.#space();
    if (this.#at < this.text.length) throw new NotJson();
    return node;
  }

  member(name: string): string | null {
    let found: string | null = null;
    this.#space();
    if (this.text[this.#at] !== "{") return null;
    this.#list("}", () => {
      this.#space();
      const key = this.#string();
      this.#expect(":");
      this.#space();
      const from = this.#at;
      this.#value(1);
      if (key === name) found = this.text.slice(from, this.#at);
    });
    return found;
  }

  #value(depth: number): JsonNode {
    if (depth > DEPTH_MAX) throw new NotJson();
    this.#space();
    switch (this.text[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return { kind: "string", text: this.#string() };
      default:
        return this.#scalar();
    }
  }

  #object(depth: number): JsonNode {
    const entries: { key: string; value: JsonNode }[] = [];
    this.#list("}", () => {
      this.#space();
      const key = this.#string();
      this.#expect(":");
      entries.push({ key, value: this.#value(depth + 1) });
    });
    return { kind: "object", entries };
  }

  #array(depth: number): JsonNode {
    const items: JsonNode[] = [];
    this.#list("]", () => items.push(this.#value(depth + 1)));
    return { kind: "array", items };
  }

  #list(end: string, item: () => void): void {
    this.#at += 1;
    this.#space();
    if (this.text[this.#at] === end) {
      this.#at += 1;
      return;
    }
    for (;;) {
      item();
      this.#space();
      const next = this.text[this.#at];
      this.#at += 1;
      if (next === end) return;
      if (next !== ",") throw new NotJson();
    }
  }

  #string(): string {
    const found = this.#match(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y);
    return JSON.parse(found) as string;
  }

  #scalar(): JsonNode {
    const found = this.#match(/-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y);
    return found === "true" || found === "false" || found === "null"
      ? { kind: "word", text: found }
      : { kind: "number", text: found };
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) throw new NotJson();
    this.#at += found.length;
    return found;
  }

  #expect(character: string): void {
    this.#space();
    if (this.text[this.#at] !== character) throw new NotJson();
    this.#at += 1;
  }

  #space(): void {
    while (" \t\n\r".includes(this.text[this.#at] ?? "x")) this.#at += 1;
  }
}

/** A string as JSON writes it, with every letter that would hide or mislead as its code. */
export function quoted(text: string): string {
  return visible(JSON.stringify(text));
}

/** How many nodes there are, as far as `max`. */
export function sizeOf(node: JsonNode, max = 1_000): number {
  let size = 0;
  const open = [node];
  for (let one = open.pop(); one !== undefined && size < max; one = open.pop()) {
    size += 1;
    for (const child of childrenOf(one)) open.push(child.value);
  }
  return size;
}

/** What a closed node says of itself: `{3}`, `[12]`. */
export function summary(node: JsonNode): string {
  if (node.kind === "object") return `{${node.entries.length}}`;
  if (node.kind === "array") return `[${node.items.length}]`;
  return "";
}

export function childrenOf(node: JsonNode): { key: string | null; value: JsonNode }[] {
  if (node.kind === "object") return node.entries;
  if (node.kind === "array") return node.items.map((value) => ({ key: null, value }));
  return [];
}

/** The same JSON on several lines, digits and order untouched. */
export function pretty(node: JsonNode, indent = ""): string {
  const deeper = `${indent}  `;
  if (node.kind === "object") {
    if (node.entries.length === 0) return "{}";
    const lines = node.entries.map(({ key, value }) => `${deeper}${JSON.stringify(key)}: ${pretty(value, deeper)}`);
    return `{\n${lines.join(",\n")}\n${indent}}`;
  }
  if (node.kind === "array") {
    if (node.items.length === 0) return "[]";
    return `[\n${node.items.map((item) => deeper + pretty(item, deeper)).join(",\n")}\n${indent}]`;
  }
  return node.kind === "string" ? JSON.stringify(node.text) : node.text;
}
