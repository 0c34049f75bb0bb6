// What holds for every page: it can be used by everybody in both themes, it is safe, and it is light.
import { beforeAll, describe, expect, it } from "vitest";

import { open, receiver } from "./harness/stage";
import { until, World } from "./harness/world";

const FIRST_LOAD_BYTES_MAX = 300_000;

describe("every page", () => {
  let world: World;
  let connection: string;
  let delivery: string;
  let event: string;

  beforeAll(async () => {
    world = new World();
    receiver.answer("/dead", { status: 400, body: '{"error":"no such ticket"}' });
    connection = (await world.webhook(`${receiver.url}/alerts`)).id;
    const failing = await world.webhook(`${receiver.url}/dead`, "Ticket bridge", { type: "ticketing" });
    await world.api("PATCH", `/api/organizations/{org}/connections/${failing.id}`, { retry_schedule: [] });
    [event] = (await world.emit(Array.from({ length: 12 }, (_, at) => ({ subject: `finding-${at}` })))) as [string];
    const done = await world.deliveries("", (items) => items.length === 24 && items.every((item) => item.status !== "pending"));
    delivery = done.find((item) => item.status !== "delivered")!.id;
  });

  const pages: [string, () => string][] = [
    ["overview", () => ""],
    ["integrations", () => "integrations"],
    ["connection", () => `connections/${connection}`],
    ["subscription", () => `connections/${connection}?tab=subscription`],
    ["delivery settings", () => `connections/${connection}?tab=delivery`],
    ["history", () => `connections/${connection}?tab=history`],
    ["deliveries", () => "deliveries"],
    ["one delivery", () => `deliveries/${delivery}`],
    ["events", () => "events"],
    ["one event", () => `events/${event}`],
    ["replays", () => "replays"],
  ];
  for (const [name, path] of pages) {
    it(`${name} can be used by everybody, and keeps the policy`, async () => {
      const console = await open(world);
      await console.go(path());
      await console.expectAccessible();
      console.expectClean();
    });
    it(`${name} fits a telephone`, async () => {
      const console = await open(world, { width: 390, height: 800 });
      await console.go(path());
      const { wide, seen } = await console.page.evaluate(() => ({ wide: document.documentElement.scrollWidth, seen: window.innerWidth }));
      expect(wide).toBeLessThanOrEqual(seen);
      console.expectClean();
    });
  }

  it("comes with less than 300 kB the first time", async () => {
    const console = await open(world);
    await console.go();
    const own = [...console.transferred].filter(([url]) => url.includes("/console/"));
    const bytes = own.reduce((sum, [, size]) => sum + size, 0);
    expect(own.length).toBeGreaterThan(3);
    expect(bytes).toBeLessThan(FIRST_LOAD_BYTES_MAX);
    // What was loaded once is not asked for again.
    const asked: string[] = [];
    console.page.on("request", (request) => request.url().includes("/console/assets/") && asked.push(request.url()));
    console.transferred.clear();
    await console.page.reload();
    await console.settle();
    const again = [...console.transferred].filter(([url]) => url.includes("/console/assets/"));
    expect(again.reduce((sum, [, size]) => sum + size, 0)).toBe(0);
    console.expectClean();
  });

  it("can be gone through with the keyboard, past the menu", async () => {
    const console = await open(world);
    await console.go("integrations");
    await console.page.keyboard.press("Tab");
    const skip = console.page.getByRole("link", { name: "Skip to the content" });
    expect(await skip.evaluate((link) => link === document.activeElement)).toBe(true);
    await console.page.keyboard.press("Enter");
    await console.page.keyboard.press("Tab");
    expect(await console.page.evaluate(() => document.querySelector("main")!.contains(document.activeElement))).toBe(true);
    console.expectClean();
  });

  it("goes on at the top of the next page, by keyboard as well, and comes back to where it was", async () => {
    const console = await open(world, { height: 500 });
    const { page } = console;
    const scrolled = () => page.evaluate(() => Math.round(window.scrollY));
    await console.go("deliveries");
    const link = page.locator('table a[href*="/deliveries/"]').last();
    await link.focus();
    const before = await scrolled();
    expect(before).toBeGreaterThan(0);
    await page.keyboard.press("Enter");
    await page.waitForURL(/deliveries\/[0-9a-f-]{36}$/);
    await page.getByRole("heading", { name: "Attempts" }).waitFor();
    expect(await scrolled()).toBe(0);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
    await page.goBack();
    await until(async () => Math.abs((await scrolled()) - before) <= 1);
    console.expectClean();
  });

  it("keeps the theme that was chosen", async () => {
    const console = await open(world);
    await console.go();
    await console.page.getByRole("button", { name: "Dark theme" }).click();
    await console.page.reload();
    await console.settle();
    expect(await console.page.evaluate(() => document.documentElement.dataset.theme)).toBe("dark");
  });

  it("does not offer a member what only managers may do", async () => {
    const console = await open(world, { token: world.tokenOf("member") });
    await console.go("integrations");
    await console.page.getByRole("link", { name: "Security alerts" }).waitFor();
    expect(await console.page.getByRole("button", { name: /^(Add|Edit|Remove) / }).count()).toBe(0);
    await console.go(`connections/${connection}?tab=delivery`);
    expect(await console.page.getByRole("button", { name: /^(Pause|Remove|Save|Send a test)$/ }).count()).toBe(0);
    console.expectClean();
  });

  it("asks for a token where there is none, and takes a pasted one", async () => {
    const console = await open(world, { token: null });
    // As outside of `relay dev`: nobody lends a session.
    await console.page.route("**/console/session", (route) => route.fulfill({ status: 204 }));
    await console.page.goto(`${world.url}/console/organizations/${world.organization}/integrations`);
    await console.page.getByLabel("Access token").fill("nonsense");
    await console.page.getByRole("button", { name: "Sign in" }).click();
    await console.page.getByText("This is not a token").waitFor();
    await console.expectAccessible();
    await console.page.getByLabel("Access token").fill(world.token);
    await console.page.getByRole("button", { name: "Sign in" }).click();
    await console.page.getByRole("link", { name: "Security alerts" }).waitFor();
    await console.page.getByRole("button", { name: "Sign out" }).click();
    await console.page.getByLabel("Access token").waitFor();
    expect(await console.page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }))).not.toContain(world.token);
    console.expectClean();
  });

  it("signs in by itself beside `relay dev`", async () => {
    const console = await open(world, { token: null });
    await console.page.goto(`${world.url}/console`);
    await console.page.getByText("Demo organization").first().waitFor();
    expect(console.page.url()).toBe(`${world.url}/console/organizations/${world.started.demoOrganization}`);
    console.expectClean();
  });

  it("shows the API's own sentence for an organization of others", async () => {
    const stranger = new World();
    const console = await open(world, { token: stranger.token });
    await console.page.goto(`${world.url}/console/organizations/${world.organization}/integrations`);
    await console.page.getByRole("alert").first().waitFor();
    expect(await console.page.getByText("Security alerts").count()).toBe(0);
    console.expectClean({ except: [/404/] });
  });
});
