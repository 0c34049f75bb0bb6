// A real receiver: takes webhooks at any path, keeps them, and answers as it is told to.
import { createHmac } from "node:crypto";
import { createServer, type Server } from "node:http";

export interface Received {
  path: string;
  headers: Record<string, string>;
  body: string;
}

export interface Told {
  status: number;
  body?: string;
  headers?: Record<string, string>;
}

export class Receiver {
  readonly received: Received[] = [];
  private readonly answers = new Map<string, Told>();

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static start(): Promise<Receiver> {
    return new Promise((done) => {
      const server = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on("data", (chunk: Buffer) => chunks.push(chunk));
        request.on("end", () => {
          const path = request.url ?? "/";
          receiver.received.push({ path, headers: request.headers as Record<string, string>, body: Buffer.concat(chunks).toString() });
          const told = receiver.answers.get(path) ?? { status: 200, body: '{"ok":true}' };
          response.writeHead(told.status, { "content-type": "application/json", ...told.headers }).end(told.body ?? "");
        });
      });
      let receiver: Receiver;
      server.listen(0, "127.0.0.1", () => {
        receiver = new Receiver(server, `http://127.0.0.1:${(server.address() as { port: number }).port}`);
        done(receiver);
      });
    });
  }

  /** From now on this path answers so. */
  answer(path: string, told: Told) {
    this.answers.set(path, told);
  }

  at(path: string): Received[] {
    return this.received.filter((one) => one.path === path);
  }

  stop(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((done) => this.server.close(() => done()));
  }
}

/** Whether a secret made the signature of what was received. */
export function isSignedWith(secret: string, { headers, body }: Received): boolean {
  return headers["x-deptex-signature"] === `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
}
