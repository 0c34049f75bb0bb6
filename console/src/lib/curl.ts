// The request of an attempt as a command that can be pasted into a shell.

export interface SentRequest {
  method: string;
  url: string;
  headers: readonly (readonly [string, string])[] | readonly string[][];
  body: string | null;
}

/** What stands in for a value that we do not show. */
export const MASK = "•••";

/** Set by curl itself, or by the connection: sending them again only breaks the request. */
const NOT_SENT_AGAIN = new Set(["host", "content-length", "connection", "accept-encoding", "transfer-encoding"]);

/** One POSIX shell word, whatever is in it. */
export function shellQuote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A header's value with hidden parts as variables: the shell fills in what only its user knows. */
function headerWord(name: string, value: string): string {
  if (!value.includes(MASK)) return shellQuote(`${name}: ${value}`);
  const variable = name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_");
  const escaped = value.replaceAll(/["\\$`]/g, "\\$&").replaceAll(MASK, `$${variable}`);
  return `"${name}: ${escaped}"`;
}

/** A curl command that sends the same bytes. Hidden values become variables, named by their header. */
export function curlCommand(request: SentRequest): string {
  const lines = [`curl -sS -i -X ${shellQuote(request.method)} ${shellQuote(request.url)}`];
  for (const [name = "", value = ""] of request.headers) {
    if (NOT_SENT_AGAIN.has(name.toLowerCase())) continue;
    lines.push(`-H ${headerWord(name, value)}`);
  }
  // Not `--data`: that reads a file where the body begins with `@`.
  if (request.body !== null && request.body !== "") lines.push(`--data-raw ${shellQuote(request.body)}`);
  return lines.join(" \\\n  ");
}

/** The variables that have to be set before the command is run. */
export function hiddenHeaders(request: SentRequest): string[] {
  return request.headers.filter(([, value = ""]) => value.includes(MASK)).map(([name = ""]) => name);
}
