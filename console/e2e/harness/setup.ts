// Starts `relay dev` once for all tests: the real program, its own Postgres, pretended providers, everything on free ports.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestProject } from "vitest/node";

import type { Started } from "./world";

const READY_MILLISECONDS = 120_000;

export default async function setup(project: TestProject) {
  const root = resolve(import.meta.dirname, "../../..");
  const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");
  const relay = process.env.RELAY_BIN ?? join(target, "debug/relay");
  if (!existsSync(relay)) throw new Error(`there is no ${relay}: cargo build --bin relay, or name one with RELAY_BIN`);
  if (!existsSync(join(root, "console/dist/index.html"))) throw new Error("the console is not built: npm run build");
  const data = mkdtempSync(join(tmpdir(), "relay-console-"));
  const [api, metrics, receiver] = [await freePort(), await freePort(), await freePort()];
  // What the shell has set for other uses must not lead elsewhere.
  const { DATABASE_URL: _, FRONTEND_URL: __, BACKEND_URL: ___, ...environment } = process.env;
  const child = spawn(relay, ["dev", "--receiver", `127.0.0.1:${receiver}`], {
    cwd: data,
    env: { ...environment, RELAY_DATA_DIR: data, RELAY_LISTEN: `127.0.0.1:${api}`, RELAY_METRICS_LISTEN: `127.0.0.1:${metrics}`, RELAY_BREAKER_OPEN: "2s" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const isReady = new Promise<void>((done, failed) => {
    const timer = setTimeout(() => failed(new Error(`relay dev is not ready:\n${said}`)), READY_MILLISECONDS);
    const listen = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-20_000);
      if (said.includes("Ctrl-C stops everything")) {
        clearTimeout(timer);
        done();
      }
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.on("exit", (code) => failed(new Error(`relay dev ended with ${code}:\n${said}`)));
  });
  const stop = async () => {
    if (child.exitCode === null) {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await ended;
    }
    rmSync(data, { recursive: true, force: true });
  };
  try {
    await isReady;
    const kept = JSON.parse(readFileSync(join(data, "dev-keys.json"), "utf8")) as { service_key: string; jwt_secret: string; organization_id: string };
    const started: Started = {
      url: `http://127.0.0.1:${api}`,
      demoReceiver: `http://127.0.0.1:${receiver}`,
      serviceKey: kept.service_key,
      jwtSecret: kept.jwt_secret,
      demoOrganization: kept.organization_id,
    };
    project.provide("started", started);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer();
    server.on("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}
