// How the core reports events to Relay, and borrows tokens from it.

export interface RelayEvent {
  type: string;
  organizationId: string;
  data: Record<string, unknown>;
  projectId?: string;
  teamId?: string;
  occurredAt?: Date;
  source?: string;
  subject?: string;
  priority?: 'critical' | 'high' | 'normal' | 'low';
  /** Made of what the event is about, not of the moment: `scan-118:CVE-2026-0001`. */
  idempotencyKey?: string;
}

/** A client of `pg` with a transaction open: the one that the change itself is made with, never the pool. */
export interface Transaction {
  query(text: string, values: unknown[]): Promise<{ rows: { id: string }[] }>;
}

/** Reports it together with your change: both are committed, or neither is. Returns the event's id. */
export async function emit(transaction: Transaction, event: RelayEvent): Promise<string> {
  const { rows } = await transaction.query(
    `select relay.emit(kind => $1, organization_id => $2, data => $3::jsonb, project_id => $4, team_id => $5,
                       occurred_at => $6, source => $7, subject => $8, priority => $9, idempotency_key => $10) as id`,
    [
      event.type,
      event.organizationId,
      JSON.stringify(event.data),
      event.projectId ?? null,
      event.teamId ?? null,
      event.occurredAt ?? null,
      event.source ?? null,
      event.subject ?? null,
      event.priority ?? 'normal',
      event.idempotencyKey ?? null,
    ],
  );
  return rows[0]!.id;
}

export interface Relay {
  url: string;
  serviceKey: string;
}

/** Relay's answer where repeating the call is of no use: `code` says why. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Reports it from elsewhere. Without an answer nobody knows whether it is stored: so it needs a key, and is repeated with it. */
export async function post(
  relay: Relay,
  event: RelayEvent & { idempotencyKey: string },
): Promise<{ id: string; duplicate: boolean }> {
  return call(relay, '/v1/events', {
    type: event.type,
    organization_id: event.organizationId,
    data: event.data,
    project_id: event.projectId,
    team_id: event.teamId,
    occurred_at: event.occurredAt?.toISOString(),
    source: event.source,
    subject: event.subject,
    priority: event.priority,
    idempotency_key: event.idempotencyKey,
  });
}

export interface Token {
  access_token: string;
  expires_at: string | null;
  provider: string;
}

/** Borrows a connection's access token. Use it at once: it is never refreshed, and never stored, by you. */
export async function token(relay: Relay, connectionId: string): Promise<Token> {
  return call(relay, `/internal/connections/${connectionId}/token`, undefined);
}

const ATTEMPTS = 6;

async function call<Answer>(relay: Relay, path: string, body: unknown): Promise<Answer> {
  for (let attempt = 1; ; attempt += 1) {
    let wait = 0.1 * 2 ** attempt;
    try {
      const response = await fetch(relay.url + path, {
        method: 'POST',
        headers: { 'x-internal-api-key': relay.serviceKey, 'content-type': 'application/json' },
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(10_000),
      });
      const text = await response.text();
      if (response.ok) return JSON.parse(text) as Answer;
      const refusal = refusalOf(response.status, text);
      const isWorthARepeat = [429, 502, 503, 504].includes(response.status) && refusal.code !== 'operator_fault';
      if (!isWorthARepeat || attempt === ATTEMPTS) throw refusal;
      wait = Number(response.headers.get('retry-after') ?? wait);
    } catch (error) {
      if (error instanceof Refused || attempt === ATTEMPTS) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }
}

function refusalOf(status: number, text: string): Refused {
  try {
    const { error, code } = JSON.parse(text) as { error: string; code: string };
    return new Refused(status, code, error);
  } catch {
    return new Refused(status, 'unknown', `Relay answered ${status}`);
  }
}
