// I46: whatever a name, an event or an answer says, it is shown as text. And long, foreign and many texts do not break a page.
import { beforeAll, describe, expect, it } from "vitest";

import { open, receiver } from "./harness/stage";
import { until, World } from "./harness/world";

const HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u001b[31m{{7*7}}';
const ARABIC = "تنبيهات أمنية عاجلة للفريق";
const LONG = `${"an-unbreakable-name-".repeat(4)}and-the-end`;

describe("i46 texts of other people", () => {
  let world: World;
  let hostile: string;
  let event: string;
  let delivery: string;

  beforeAll(async () => {
    world = new World();
    receiver.answer("/hostile", { status: 400, body: `<h1>${HOSTILE}</h1>`, headers: { "x-said": "<script>alert(3)</script>" } });
    hostile = (await world.webhook(`${receiver.url}/hostile`, HOSTILE.replace("\u001b", ""))).id;
    await world.api("PATCH", `/api/organizations/{org}/connections/${hostile}`, { retry_schedule: [] });
    await world.webhook(`${receiver.url}/arabic`, ARABIC);
    await world.webhook(`${receiver.url}/${"long-path/".repeat(40)}`, LONG);
    [event] = (await world.emit({ subject: HOSTILE.replace("\u001b", ""), data: { note: HOSTILE, project: ARABIC, package: LONG.repeat(5) } })) as [string];
    const items = await world.deliveries("", (list) => list.length === 3 && list.every((item) => item.status !== "pending"));
    delivery = items.find((item) => item.status === "dead")!.id;
  });

  const pages: [string, () => string, string?][] = [
    ["overview", () => ""],
    ["integrations", () => "integrations", "onerror"],
    ["connection", () => `connections/${hostile}`, "onerror"],
    ["preview", () => `connections/${hostile}?tab=subscription`, "onerror"],
    ["history", () => `connections/${hostile}?tab=history`, "onerror"],
    ["deliveries", () => "deliveries", "onerror"],
    ["delivery", () => `deliveries/${delivery}`, "onerror"],
    ["events", () => "events", "onerror"],
    ["event", () => `events/${event}`, "onerror"],
    ["a message in the address", () => `integrations?error=${encodeURIComponent("<b>slack</b>")}&message=${encodeURIComponent(HOSTILE)}`, "onerror"],
  ];
  for (const [name, path, text] of pages) {
    it(`are text on: ${name}`, async () => {
      const console = await open(world);
      await console.go(path());
      if (text) await console.page.getByText(text).first().waitFor();
      const made = await console.page.evaluate(() => document.querySelectorAll("img[onerror], main script, main img[src=x], li script, li img").length);
      expect(made).toBe(0);
      const { wide, seen } = await console.page.evaluate(() => ({ wide: document.documentElement.scrollWidth, seen: window.innerWidth }));
      expect(wide).toBeLessThanOrEqual(seen);
      console.expectClean();
    });
  }

  it("keep their own direction", async () => {
    const console = await open(world);
    await console.go("integrations");
    const link = console.page.getByRole("link", { name: ARABIC });
    expect(await link.evaluate((element) => getComputedStyle(element).direction)).toBe("rtl");
    expect(await console.page.evaluate(() => getComputedStyle(document.body).direction)).toBe("ltr");
    console.expectClean();
  });
});

describe("a thousand rows", () => {
  it("are in reach, and only those in view are in the page", async () => {
    const world = new World();
    await world.webhook(`${receiver.url}/many`);
    await world.emit(Array.from({ length: 1_000 }, (_, at) => ({ subject: `finding-${at}` })));
    const console = await open(world);
    await console.go("deliveries");
    const table = console.page.getByRole("table");
    const more = console.page.getByRole("button", { name: "Load more" });
    const rows = async () => Number(await table.getAttribute("aria-rowcount")) - 1;
    while ((await rows()) < 1_000 && (await more.count()) > 0) {
      const before = await rows();
      await more.click();
      await console.page.waitForFunction((count) => Number(document.querySelector("table")!.getAttribute("aria-rowcount")) - 1 > count, before);
    }
    expect(await rows()).toBeGreaterThanOrEqual(1_000);
    expect(await console.page.locator("tbody tr").count()).toBeLessThan(150);
    await console.page.mouse.wheel(0, 20_000);
    const first = console.page.locator("tbody tr[aria-rowindex]").first();
    await until(async () => Number(await first.getAttribute("aria-rowindex")) > 100);
    expect(await console.page.locator("tbody tr").count()).toBeLessThan(150);
    console.expectClean();
  });
});
