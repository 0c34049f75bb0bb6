// The overview: what is stuck and why, with ways to it; and a beginning where there is nothing yet.
import { describe, expect, it } from "vitest";

import { open, receiver } from "./harness/stage";
import { until, World } from "./harness/world";

describe("the overview", () => {
  it("shows what waits, for what, and the connection that is to blame", async () => {
    const world = new World();
    receiver.answer("/patience", { status: 429, headers: { "retry-after": "600" } });
    await world.webhook(`${receiver.url}/good`, "Good");
    await world.webhook(`${receiver.url}/patience`, "Patient");
    await world.emit(Array.from({ length: 20 }, (_, at) => ({ subject: `finding-${at}` })));
    await world.deliveries("status=delivered", (items) => items.length === 20);
    // The numbers come some seconds behind.
    await until(async () => {
      const { hours } = await world.api<{ hours: { delivered: number }[] }>("GET", "/api/organizations/{org}/overview");
      return hours.reduce((sum, hour) => sum + hour.delivered, 0) === 20;
    });
    const console = await open(world);
    const { page } = console;
    await console.go();
    const stuck = page.locator("section", { has: page.getByRole("heading", { name: "What waits, and why" }) });
    await stuck.getByText("Held", { exact: true }).waitFor();
    const trouble = page.locator("section", { has: page.getByRole("heading", { name: "Connections in trouble" }) });
    await trouble.getByRole("link", { name: "Patient" }).waitFor();
    await trouble.getByText(/Sending goes on in/).waitFor();
    expect(await trouble.getByText("Good").count()).toBe(0);
    // Charts have the same numbers as tables.
    const table = page.getByRole("table", { name: "Deliveries per hour in the last 24 hours" });
    expect(await table.getByRole("row").count()).toBe(25);
    expect(await table.getByRole("cell", { name: "20", exact: true }).count()).toBe(1);
    await console.expectAccessible();
    await console.picture("overview");
    await trouble.getByRole("link", { name: /waiting/ }).click();
    await page.waitForURL(/deliveries\?status=parked&status=pending&connection_id=/);
    await console.settle();
    await page.getByRole("row", { name: /finding-/ }).first().waitFor();
    console.expectClean();
  });

  it("is a beginning where nothing is connected", async () => {
    const console = await open(new World());
    await console.go();
    await console.page.getByRole("link", { name: "Connect something" }).click();
    await console.page.getByRole("heading", { name: "Integrations" }).waitFor();
    console.expectClean();
  });

  it("says when it cannot be read, and can be asked again", async () => {
    const world = new World();
    const console = await open(world);
    const { page } = console;
    let isAway = true;
    await page.route("**/overview", (route) =>
      isAway ? route.fulfill({ status: 503, contentType: "application/json", body: '{"error":"The database cannot be reached","code":"database_unavailable"}' }) : route.continue(),
    );
    await page.goto(`${world.url}/console/organizations/${world.organization}`);
    await page.getByText("The database cannot be reached").waitFor();
    isAway = false;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("Nothing is connected yet").waitFor();
    console.expectClean({ except: [/503/] });
  });
});
