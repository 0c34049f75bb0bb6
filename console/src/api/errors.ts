// What a refused request becomes: a sentence to show, and a code for programs.

/** An answer that is not a success, or no answer at all (`status` 0). */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    /** The sentence of the answer, as it can be shown. */
    message: string,
    /** Stable; `network` where nothing answered. */
    readonly code: string,
    readonly status: number,
    /** For the log of whoever runs this. */
    readonly requestId: string | null = null,
    /** Seconds after which to try again, where the answer says so. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }

  /** Whether asking again can help. */
  get isTransient(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** The sentence to show for anything that was thrown. */
export function sentence(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  if (error instanceof Error && error.message) return error.message;
  return "Something went wrong here. Please try again.";
}

/** Reads a refusal. What is not ours (a proxy's page, say) gets a sentence of our own. */
export async function refusal(response: Response): Promise<ApiError> {
  const id = response.headers.get("x-request-id");
  const asked = Number(response.headers.get("retry-after"));
  const wait = Number.isFinite(asked) && asked > 0 ? asked : null;
  let body: unknown = null;
  try {
    body = await response.json();
  } catch {
    // Not JSON: the status says it all.
  }
  const { error, code } = (body ?? {}) as { error?: unknown; code?: unknown };
  const message = typeof error === "string" && error ? error : byStatus(response.status);
  return new ApiError(message, typeof code === "string" ? code : "unknown", response.status, id, wait);
}

function byStatus(status: number): string {
  if (status === 401) return "Your session has ended. Please sign in again.";
  if (status === 403) return "You may not do this.";
  if (status === 404) return "There is no such thing here.";
  if (status === 429) return "Too many requests. Please wait a moment.";
  if (status >= 500) return "Relay could not answer. Please try again.";
  return `Relay refused this (${status}).`;
}
