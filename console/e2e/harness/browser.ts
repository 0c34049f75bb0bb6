// The browser, and what must never happen in it: an error, a request to another host, a break of the page's policy.
import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { expect } from "vitest";

import type { World } from "./world";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PICTURES = process.env.PICTURES ? resolve(import.meta.dirname, "../../../docs/pictures") : null;

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

export type Theme = "light" | "dark";

export interface Opening {
  /** Null for nobody. */
  token?: string | null;
  theme?: Theme;
  width?: number;
  height?: number;
}

/** A page of the console with somebody signed in, and everything that went wrong on it. */
export class Console {
  readonly problems: string[] = [];
  /** Bytes of the network by address, as they were transferred. */
  readonly transferred = new Map<string, number>();

  private constructor(
    readonly page: Page,
    readonly context: BrowserContext,
    private readonly world: World,
  ) {}

  static async open(browser: Browser, world: World, { token = world.token, theme = "light", width = 1440, height = 900 }: Opening): Promise<Console> {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, timezoneId: "UTC", locale: "en-GB", permissions: ["clipboard-read", "clipboard-write"] });
    const page = await context.newPage();
    const opened = new Console(page, context, world);
    await opened.watch();
    await page.addInitScript(
      ([kept, chosen]) => {
        if (kept && !sessionStorage.getItem("relay.token")) sessionStorage.setItem("relay.token", kept);
        if (!localStorage.getItem("relay.theme")) localStorage.setItem("relay.theme", chosen!);
      },
      [token, theme] as const,
    );
    return opened;
  }

  private async watch() {
    const { page, problems } = this;
    const own = new URL(this.world.url).origin;
    page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") problems.push(`console: ${message.text()} ${message.location().url}`);
    });
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith("data:") && !url.startsWith("blob:") && new URL(url).origin !== own) problems.push(`request to another host: ${url}`);
    });
    page.on("dialog", (dialog) => {
      problems.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.exposeFunction("tellPolicy", (text: string) => problems.push(`policy: ${text}`));
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        (window as unknown as { tellPolicy: (text: string) => void }).tellPolicy(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
      });
    });
    const network = await this.context.newCDPSession(page);
    await network.send("Network.enable");
    const urls = new Map<string, string>();
    network.on("Network.responseReceived", ({ requestId, response }) => urls.set(requestId, response.url));
    network.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => this.transferred.set(urls.get(requestId) ?? "", encodedDataLength));
  }

  /** Opens a page of the organization and waits until it stands. */
  async go(path = "") {
    await this.page.goto(`${this.world.url}/console/organizations/${this.world.organization}${path && `/${path}`}`);
    await this.settle();
  }

  /** Until nothing is loading any more. */
  async settle() {
    await this.page.locator("main h1").first().waitFor();
    await this.page.waitForFunction(() => document.querySelectorAll('[aria-label="Loading"]').length === 0);
  }

  /** Keeps requests to an address back until what it gives is called. */
  async hold(address: string | RegExp): Promise<() => void> {
    let release = () => {};
    const released = new Promise<void>((done) => (release = done));
    await this.page.route(address, async (route) => {
      await released;
      await route.continue();
    });
    return release;
  }

  /** Fails on anything that went wrong so far. An expected refusal of the API is taken out by its status. */
  expectClean({ except = [] as RegExp[] } = {}) {
    expect(this.problems.filter((problem) => !except.some((known) => known.test(problem)))).toEqual([]);
  }

  /** WCAG A and AA, in both themes. */
  async expectAccessible() {
    const { page } = this;
    const before = await page.evaluate(() => document.documentElement.dataset.theme);
    for (const theme of ["light", "dark"]) {
      await page.evaluate((name) => (document.documentElement.dataset.theme = name), theme);
      await page.waitForTimeout(250);
      await page.evaluate(axe);
      const found = await page.evaluate(async () => {
        const run = (window as unknown as { axe: { run: (root: Document, options: unknown) => Promise<{ violations: { id: string; help: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe;
        const { violations } = await run.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] });
        return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} [${node.failureSummary.slice(0, 200)}]`).join(" | ")}`);
      });
      expect(found.map((text) => `${theme}: ${text}`)).toEqual([]);
    }
    await page.evaluate((name) => (document.documentElement.dataset.theme = name), before);
  }

  /** A picture for the documentation, where PICTURES asks for them. */
  async picture(name: string) {
    if (!PICTURES) return;
    mkdirSync(PICTURES, { recursive: true });
    await this.page.mouse.move(0, 0);
    await this.page.waitForTimeout(350);
    await this.page.screenshot({ path: `${PICTURES}/console-${name}.png` });
  }

  close(): Promise<void> {
    return this.context.close();
  }
}
