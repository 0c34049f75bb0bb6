// Events by hand: found by what they are about, and why each went where it went.
import { beforeAll, describe, expect, it } from "vitest";

import { open, receiver } from "./harness/stage";
import { until, World } from "./harness/world";

describe("events", () => {
  let world: World;
  let found: string;
  let wanting: string;
  let choosy: string;

  beforeAll(async () => {
    world = new World();
    wanting = (await world.webhook(`${receiver.url}/wanting`, "Wanting")).id;
    choosy = (await world.webhook(`${receiver.url}/choosy`, "Choosy", { event_types: ["sla.*"] })).id;
    [found] = (await world.emit([
      { subject: "CVE-2026-0007", priority: "critical", data: { severity: "critical", nested: { list: [1, 2, 3] } } },
      { subject: "late", type: "sla.breached" },
    ])) as [string];
    await world.deliveries("status=delivered", (items) => items.length === 3);
  });

  it("are found by their kind and subject, with what became of them", async () => {
    const console = await open(world);
    const { page } = console;
    await console.go("events");
    await page.getByRole("row", { name: /sla\.breached.*2 delivered/ }).waitFor();
    await page.getByRole("button", { name: "Subject", exact: true }).click();
    await page.getByRole("dialog").getByLabel("Subject").fill("CVE-2026-0007");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.waitForURL(/subject=CVE-2026-0007/);
    await until(async () => (await page.getByRole("row", { name: /sla\.breached/ }).count()) === 0);
    await page.getByRole("row", { name: /CVE-2026-0007/ }).getByRole("link", { name: "1 delivered" }).click();
    await page.waitForURL(/deliveries\?.*event_id=/);
    await console.settle();
    await page.getByRole("row", { name: /CVE-2026-0007/ }).waitFor();
    console.expectClean();
  });

  it("say why they went to one connection, and not to another", async () => {
    const console = await open(world);
    const { page } = console;
    await console.go(`events/${found}`);
    await page.getByRole("region", { name: "The event’s data" }).getByText('"critical"').waitFor();
    const why = page.locator("section", { has: page.getByRole("heading", { name: /Why did it/ }) });
    await why.getByLabel("Connection").selectOption(choosy);
    await why.getByText("Did not match", { exact: true }).waitFor();
    await why.getByText(/: no$/).waitFor();
    // The question stands in the address.
    expect(page.url()).toContain(`why=${choosy}`);
    await why.getByLabel("Connection").selectOption(wanting);
    await why.getByText("Delivered", { exact: true }).waitFor();
    expect(await why.getByText(/: no$/).count()).toBe(0);
    await console.expectAccessible();
    await why.getByRole("link", { name: "See the delivery" }).click();
    await page.getByRole("button", { name: /^Attempt 1/ }).waitFor();
    console.expectClean();
  });

  it("show their data byte for byte", async () => {
    const response = await fetch(`${world.url}/v1/events`, {
      method: "POST",
      headers: { "x-internal-api-key": world.started.serviceKey, "content-type": "application/json" },
      body: `{"type":"policy.violation","organization_id":"${world.organization}","data":{"long":12345678901234567890,"price":1.50}}`,
    });
    const { id } = (await response.json()) as { id: string };
    const console = await open(world);
    await console.go(`events/${id}`);
    const data = console.page.getByRole("region", { name: "The event’s data" });
    await data.getByText("12345678901234567890", { exact: true }).waitFor();
    await data.getByText("1.50", { exact: true }).waitFor();
    console.expectClean();
  });

  it("open and close their payload with the keyboard", async () => {
    const console = await open(world);
    const { page } = console;
    await console.go(`events/${found}`);
    const data = page.getByRole("region", { name: "The event’s data" });
    const list = data.getByRole("button", { name: /list/ });
    await list.focus();
    expect(await list.getAttribute("aria-expanded")).toBe("true");
    await page.keyboard.press("Enter");
    expect(await list.getAttribute("aria-expanded")).toBe("false");
    await page.getByRole("button", { name: "Raw", exact: true }).click();
    await page.getByText('{"severity":"critical","nested":').waitFor();
    console.expectClean();
  });
});
