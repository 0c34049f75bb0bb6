// An organization of one's own in the running program: its tokens, its events, its API.
import { createHmac, randomUUID } from "node:crypto";
import { inject } from "vitest";

export interface Started {
  url: string;
  demoReceiver: string;
  serviceKey: string;
  jwtSecret: string;
  demoOrganization: string;
}

declare module "vitest" {
  interface ProvidedContext {
    started: Started;
  }
}

export interface NewEvent {
  type?: string;
  data?: Record<string, unknown>;
  subject?: string;
  priority?: string;
  idempotency_key?: string;
}

export class World {
  readonly started = inject("started");
  readonly organization = randomUUID();
  readonly user = randomUUID();
  /** Of its owner. */
  readonly token = this.tokenOf("owner");

  get url(): string {
    return this.started.url;
  }

  /** A token that makes somebody a member of this organization. */
  tokenOf(role: "owner" | "member", name?: string): string {
    const now = Math.floor(Date.now() / 1000);
    return this.signed({
      sub: this.user,
      aud: "authenticated",
      email: `${role}@example.com`,
      iat: now,
      exp: now + 3_600,
      app_metadata: { organizations: { [this.organization]: { role, name: name ?? "Acme Security" } } },
    });
  }

  private signed(claims: unknown): string {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const head = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
    return `${head}.${createHmac("sha256", this.started.jwtSecret).update(head).digest("base64url")}`;
  }

  /** Calls the API as the owner; `{org}` in the path is this organization. */
  async api<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.url + path.replace("{org}", this.organization), {
      method,
      headers: { authorization: `Bearer ${this.token}`, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }

  /** Records events, as the core does. */
  async emit(events: NewEvent | NewEvent[]): Promise<string[]> {
    const list = (Array.isArray(events) ? events : [events]).map((event) => ({
      type: "vulnerability.found",
      data: { vulnerability_id: "CVE-2026-0001", severity: "critical", package: "lodash", version: "4.17.20", project: "shop" },
      ...event,
      organization_id: this.organization,
    }));
    const response = await fetch(`${this.url}/v1/events`, {
      method: "POST",
      headers: { "x-internal-api-key": this.started.serviceKey, "content-type": "application/json" },
      body: JSON.stringify(list),
    });
    if (response.status !== 202) throw new Error(`events: ${response.status} ${await response.text()}`);
    const { results } = (await response.json()) as { results: { id?: string; error?: string }[] };
    return results.map((result) => {
      if (!result.id) throw new Error(`an event was refused: ${result.error}`);
      return result.id;
    });
  }

  /** A custom webhook that is there before the test begins. */
  async webhook(url: string, name = "Security alerts", more: Record<string, unknown> = {}): Promise<{ id: string; secret: string }> {
    return this.api("POST", "/api/integrations/organizations/{org}/custom-integrations", { name, type: "notification", webhook_url: url, ...more });
  }

  /** Connects a provider, as somebody does who agrees on its page. */
  async connect(provider: string): Promise<string> {
    const { redirectUrl } = await this.api<{ redirectUrl: string }>("GET", `/api/integrations/${provider}/install?org_id=${this.organization}`);
    const consent = await fetch(`${redirectUrl}&decision=allow`, { redirect: "manual" });
    await fetch(consent.headers.get("location")!, { redirect: "manual" });
    const { items } = await this.api<{ items: { id: string; provider: string }[] }>("GET", "/api/organizations/{org}/connections");
    return items.find((one) => one.provider === provider)!.id;
  }

  /** Waits until the organization's deliveries are as wanted. */
  async deliveries(filters: string, isWanted: (items: { id: string; status: string; attempts: number }[]) => boolean): Promise<{ id: string; status: string }[]> {
    return until(async () => {
      const { items } = await this.api<{ items: { id: string; status: string; attempts: number }[] }>("GET", `/api/organizations/{org}/deliveries?limit=200${filters && `&${filters}`}`);
      return isWanted(items) ? items : null;
    });
  }
}

/** Asks until there is an answer. */
export async function until<T>(ask: () => Promise<T | null | undefined | false>, milliseconds = 60_000): Promise<T> {
  const end = Date.now() + milliseconds;
  for (;;) {
    const found = await ask();
    if (found) return found;
    if (Date.now() > end) throw new Error("it did not come to pass in time");
    await new Promise((done) => setTimeout(done, 100));
  }
}
