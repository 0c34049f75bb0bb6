// Talks to the API: every path, query, body and answer has the type that docs/openapi.json gives it.
import type { components, paths } from "./schema";
import { ApiError, refusal } from "./errors";

/** A shape of the API by its name in the document. */
export type Schema<Name extends keyof components["schemas"]> = components["schemas"][Name];

type Method = "get" | "post" | "put" | "patch" | "delete";
type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>;
/** The paths that take a method. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P][M] extends undefined ? never : P;
}[keyof paths];

type JsonOf<T> = T extends { content: { "application/json": infer Body } } ? Body : undefined;
type Success = 200 | 201 | 202 | 204;
/** What a route answers when all went well. */
export type Answer<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: infer R } ? JsonOf<R[keyof R & Success]> : never;

type Given<T, K extends string> = T extends { parameters: infer Ps }
  ? K extends keyof Ps
    ? NonNullable<Ps[K]>
    : never
  : never;
type BodyOf<T> = T extends { requestBody?: infer B } ? JsonOf<NonNullable<B>> : never;

/** What goes with a request beside its path. */
export interface Options<P extends keyof paths, M extends Method> {
  path?: Given<Operation<P, M>, "path">;
  query?: Given<Operation<P, M>, "query">;
  body?: BodyOf<Operation<P, M>>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Who asks. The session sets it; a 401 tells the session which token was refused. */
export const credentials = {
  token: null as string | null,
  onUnauthorized: (_refused: string | null) => {},
};

/** Calls a route of the document. */
export async function call<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  options: Options<P, M> = {},
): Promise<Answer<P, M>> {
  const address = fill(path as string, options.path as Record<string, string> | undefined);
  return request<Answer<P, M>>(method, address, { ...options, query: options.query as Query });
}

export type Query = Record<string, unknown> | undefined;

/** Calls an address that may not be in the document yet. Prefer `call`. */
export async function request<T>(
  method: Method,
  address: string,
  options: { query?: Query; body?: unknown; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<T> {
  const headers: Record<string, string> = { ...options.headers };
  let body: BodyInit | undefined;
  if (options.body instanceof Blob) {
    body = options.body;
    headers["content-type"] = options.body.type || "application/octet-stream";
  } else if (options.body !== undefined) {
    body = JSON.stringify(options.body);
    headers["content-type"] = "application/json";
  }
  const response = await send(address + search(options.query), { method: method.toUpperCase(), headers, body, signal: options.signal });
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

/** Sends with the session's token; whatever is not a success is thrown as an `ApiError`. */
export async function send(address: string, init: RequestInit): Promise<Response> {
  const { token } = credentials;
  const headers = new Headers(init.headers);
  if (token) headers.set("authorization", `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(address, { ...init, headers, credentials: "same-origin" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError("Relay cannot be reached. Please check your connection.", "network", 0);
  }
  if (response.ok) return response;
  if (response.status === 401) {
    // While it was on its way the session was renewed: what only reads is asked again.
    const isRenewed = credentials.token !== null && credentials.token !== token;
    if (isRenewed && (init.method ?? "GET") === "GET") return send(address, init);
    credentials.onUnauthorized(token);
  }
  throw await refusal(response);
}

/** Puts values into a path such as `/a/{org}/b`. */
export function fill(path: string, values: Record<string, string> = {}): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${path} needs ${name}`);
    return encodeURIComponent(value);
  });
}

/** A query string; what is null, undefined or empty is left out, a list stands several times. */
export function search(query: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") given.append(name, String(one));
    }
  }
  const text = given.toString();
  return text && `?${text}`;
}
