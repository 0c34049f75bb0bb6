// A connection's settings by hand: which events it wants, how it is delivered to, and how it stood before.
import { beforeEach, describe, expect, it } from "vitest";

import type { Console } from "./harness/browser";
import { open, receiver } from "./harness/stage";
import { until, World } from "./harness/world";

interface Settings {
  event_types: string[];
  conditions: unknown;
  rate_limit: unknown;
  retry_schedule: number[] | null;
  ordering: unknown;
  header_names: string[];
  digest_minutes: number | null;
}

describe("the settings of a connection", () => {
  let world: World;
  let console: Console;
  let id: string;

  const settings = (of = id) => world.api<Settings>("GET", `/api/organizations/{org}/connections/${of}`);
  const setting = (title: string) => console.page.locator("form", { has: console.page.getByRole("heading", { name: title, exact: true }) });
  const save = async (title: string) => {
    await setting(title).getByRole("button", { name: "Save" }).click();
    const idle = setting(title).locator('button[type="submit"]:disabled:not([aria-busy])');
    await idle.waitFor();
  };

  beforeEach(async () => {
    world = new World();
    receiver.received.length = 0;
    ({ id } = await world.webhook(`${receiver.url}/settings`));
    console = await open(world);
  });

  it("a subscription is tried on the last events before it is saved", async () => {
    const { page } = console;
    await world.emit([
      ...Array.from({ length: 3 }, (_, at) => ({ data: { severity: "critical", at } })),
      ...Array.from({ length: 4 }, (_, at) => ({ data: { severity: "low", at } })),
      { type: "administrative.member_added", data: {} },
    ]);
    await console.go(`connections/${id}?tab=subscription`);
    await page.getByText("8 of the last 8 events would match").waitFor();
    await page.getByLabel("Only these").check();
    await page.getByLabel("Kind or pattern").fill("vulnerability.*");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByRole("button", { name: "Add a condition" }).click();
    await page.getByText("3 of the last 8 events would match").waitFor();
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("The subscription is saved", { exact: true }).waitFor();
    const saved = await settings();
    expect(saved.event_types).toContain("vulnerability.*");
    expect(saved.conditions).toEqual({ field: "severity", at_least: "high" });
    console.expectClean();
  });

  it("conditions that no list can show stay as they are, as JSON", async () => {
    const { page } = console;
    const conditions = { not: { all: [{ field: "source", eq: "nightly" }, { any: [{ field: "data.kev", eq: true }] }] } };
    await world.api("PATCH", `/api/organizations/{org}/connections/${id}`, { conditions });
    await console.go(`connections/${id}?tab=subscription`);
    const json = page.getByLabel("Conditions as JSON");
    expect(JSON.parse(await json.inputValue())).toEqual(conditions);
    expect(await page.getByRole("button", { name: "Save" }).isDisabled()).toBe(true);
    await json.fill('{ "field": "nonsense", "eq": 1 }');
    await page.getByRole("alert").getByText(/nonsense|field/).first().waitFor();
    await json.fill("");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("The subscription is saved", { exact: true }).waitFor();
    expect((await settings()).conditions).toBeNull();
    console.expectClean({ except: [/422/] });
  });

  it("limits, retries, order and headers are set one by one", async () => {
    const { page } = console;
    await console.go(`connections/${id}?tab=delivery`);
    await setting("Rate limit").getByLabel("Send at most so many requests").check();
    await setting("Rate limit").getByLabel("Requests", { exact: true }).fill("7");
    await setting("Rate limit").getByLabel("In seconds").fill("2");
    await save("Rate limit");
    await setting("Retries").getByLabel("A schedule of its own").check();
    await setting("Retries").getByLabel("Waits").fill("10 s, 5 min, 1 h");
    await save("Retries");
    await setting("Order").getByLabel("Deliveries are sent").selectOption("park");
    await setting("Order").getByLabel("Parked after attempts").fill("3");
    await save("Order");
    await setting("Headers").getByRole("button", { name: "Add a header" }).click();
    await setting("Headers").getByLabel("Name").fill("X-Team");
    await setting("Headers").getByLabel("Value").fill("s3cret-value");
    await save("Headers");
    expect(await settings()).toMatchObject({
      rate_limit: { count: 7, seconds: 2 },
      retry_schedule: [10, 300, 3_600],
      ordering: { policy: "park", after: 3 },
      header_names: ["X-Team"],
    });
    expect(await page.content()).not.toContain("s3cret-value");
    // Headers hold for what begins a second or more after the change.
    await page.waitForTimeout(1_500);
    await world.emit({ subject: "with-headers" });
    const received = await until(async () => receiver.at("/settings").find((one) => one.headers["x-deptex-event"] === "vulnerability.found"));
    expect(received.headers["x-team"]).toBe("s3cret-value");
    console.expectClean();
  });

  it("what a chat gets is gathered into digests, and is so no more", async () => {
    const slack = await world.connect("slack");
    await console.go(`connections/${slack}?tab=delivery`);
    const gathers = setting("Digest").getByLabel("Gather events");
    expect(await gathers.isChecked()).toBe(false);
    await gathers.check();
    await setting("Digest").getByLabel("Minutes").fill("30");
    await save("Digest");
    expect((await settings(slack)).digest_minutes).toBe(30);
    await console.page.reload();
    await console.settle();
    expect(await setting("Digest").getByLabel("Minutes").inputValue()).toBe("30");
    await gathers.uncheck();
    await save("Digest");
    expect((await settings(slack)).digest_minutes).toBeNull();
    console.expectClean();
  });

  it("nobody's change is written over", async () => {
    await console.go(`connections/${id}?tab=delivery`);
    await world.api("PATCH", `/api/organizations/{org}/connections/${id}`, { rate_limit: { count: 1, seconds: 1 } });
    await setting("Retries").getByLabel("A schedule of its own").check();
    await setting("Retries").getByRole("button", { name: "Save" }).click();
    await setting("Retries").getByText("Somebody else has changed this connection").waitFor();
    expect((await settings()).retry_schedule).toBeNull();
    console.expectClean({ except: [/409/] });
  });

  it("that somebody else has removed is shown as removed by the next thing that is done to it", async () => {
    const { page } = console;
    await console.go(`connections/${id}?tab=delivery`);
    await world.api("DELETE", `/api/integrations/organizations/{org}/connections/${id}`);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("It cannot be paused", { exact: true }).waitFor();
    await page.getByText("It was removed. Its history and its deliveries stay.").waitFor();
    expect(await page.getByRole("button", { name: /^(Pause|Remove|Save)$/ }).count()).toBe(0);
    console.expectClean({ except: [/404/] });
  });

  it("tells what happened, and how it stood at any moment", async () => {
    const { page } = console;
    // A moment is a whole second: one after it was connected, and before it was changed.
    await page.waitForTimeout(1_100);
    const before = new Date();
    await page.waitForTimeout(1_100);
    await world.api("PATCH", `/api/organizations/{org}/connections/${id}`, { name: "Another name", rate_limit: { count: 5, seconds: 1 } });
    await console.go(`connections/${id}?tab=history`);
    const entries = page.locator("ol > li");
    expect(await entries.count()).toBeGreaterThanOrEqual(2);
    await entries.last().getByRole("button", { name: "How it stood then" }).click();
    const then = page.getByRole("dialog");
    await then.getByText("Security alerts").first().waitFor();
    await then.getByText("Another name").waitFor();
    await console.expectAccessible();
    await page.keyboard.press("Escape");
    await page.getByLabel("How it stood at").fill(before.toISOString().slice(0, 19));
    await page.locator("form").getByRole("button", { name: "How it stood then" }).click();
    await then.getByText("Security alerts").first().waitFor();
    await then.getByText("Another name").waitFor();
    console.expectClean();
  });

  it("a provider is connected by going there, and a channel is chosen", async () => {
    const { page } = console;
    // The one who is sent away agrees at once.
    await page.route("**/install?*", async (route) => {
      const answer = await route.fetch();
      const { redirectUrl } = (await answer.json()) as { redirectUrl: string };
      await route.fulfill({ response: answer, json: { redirectUrl: `${redirectUrl}&decision=allow` } });
    });
    await console.go("integrations");
    await page.getByRole("button", { name: "Add Jira Cloud" }).click();
    await page.getByText("Jira Cloud is connected", { exact: true }).waitFor();
    expect(page.url()).not.toContain("connected=");
    const row = page.getByRole("row", { name: /Jira Cloud/ });
    await row.getByText("Not chosen yet").waitFor();
    await row.getByRole("link").first().click();
    await page.getByRole("tab", { name: "Delivery" }).click();
    await page.getByRole("button", { name: "Choose a project" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("radio").first().check();
    await console.expectAccessible();
    await dialog.getByRole("button", { name: "Choose" }).click();
    await page.getByText(/^Its events go to/).first().waitFor();
    console.expectClean({ except: [/request to another host: http:\/\/127\.0\.0\.1:\d+\//] });
  });

  it("a refused consent is told", async () => {
    const { page } = console;
    await page.goto(`${world.url}/console/organizations/${world.organization}/settings/integrations?error=slack&message=Invalid%20state`);
    await page.getByText("Slack is not connected", { exact: true }).waitFor();
    await page.getByText("Invalid state", { exact: true }).waitFor();
    await until(async () => !page.url().includes("error="));
    console.expectClean();
  });
});
