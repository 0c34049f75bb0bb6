// Deliveries by hand: watched as they happen, filtered, looked into, verified, sent again, exported.
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";

import type { Console } from "./harness/browser";
import { open, receiver } from "./harness/stage";
import { until, World } from "./harness/world";

describe("deliveries", () => {
  let world: World;
  let console: Console;

  beforeEach(async () => {
    world = new World();
    console = await open(world);
  });

  const shown = async () => Number(await console.page.getByRole("table").getAttribute("aria-rowcount")) - 1;
  const row = (subject: string) => console.page.getByRole("row", { name: new RegExp(subject) });

  /** One that is given up at its first failure. */
  async function failing(path: string, name = "Ticket bridge") {
    receiver.answer(path, { status: 500, body: '{"error":"away"}' });
    const made = await world.webhook(receiver.url + path, name);
    await world.api("PATCH", `/api/organizations/{org}/connections/${made.id}`, { retry_schedule: [] });
    return made;
  }

  it("come by themselves, stay put while somebody reads, and stop when paused", async () => {
    const { page } = console;
    await world.webhook(`${receiver.url}/live`);
    await world.emit({ subject: "first" });
    await world.deliveries("status=delivered", (items) => items.length === 1);
    await console.go("deliveries");
    await row("first").waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await page.mouse.move(0, 0);
    await world.emit({ subject: "second" });
    await row("second").waitFor();
    // With the pointer on the rows nothing moves; what is new says so and waits.
    await row("first").hover();
    await world.emit({ subject: "third" });
    const waits = page.getByRole("button", { name: "1 new" });
    await waits.waitFor();
    expect(await row("third").count()).toBe(0);
    await waits.click();
    await row("third").waitFor();
    expect(await shown()).toBe(3);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.mouse.move(0, 0);
    await world.emit({ subject: "fourth" });
    await world.deliveries("status=delivered", (items) => items.length === 4);
    await page.waitForTimeout(3_000);
    expect(await row("fourth").count()).toBe(0);
    await page.getByRole("button", { name: "Go live" }).click();
    await page.mouse.move(0, 0);
    await row("fourth").waitFor();
    console.expectClean();
  });

  it("change in place when they are tried again", async () => {
    receiver.answer("/later", { status: 500 });
    const { id } = await world.webhook(`${receiver.url}/later`);
    await world.api("PATCH", `/api/organizations/{org}/connections/${id}`, { retry_schedule: [3] });
    await world.emit({ subject: "changing" });
    await world.deliveries("", (items) => items[0]?.attempts === 1);
    await console.go("deliveries");
    await row("changing").getByText("Pending").waitFor();
    await row("changing").hover();
    receiver.answer("/later", { status: 200 });
    await row("changing").getByText("Delivered").waitFor();
    console.expectClean();
  });

  it("lose no news that come while more of them are loaded", async () => {
    const { page } = console;
    await world.webhook(`${receiver.url}/many`, "Many", { event_types: ["vulnerability.*"] });
    receiver.answer("/later", { status: 500 });
    const { id } = await world.webhook(`${receiver.url}/later`, "Later", { event_types: ["sla.*"] });
    await world.api("PATCH", `/api/organizations/{org}/connections/${id}`, { retry_schedule: Array.from({ length: 20 }, () => 3) });
    await world.emit(Array.from({ length: 120 }, (_, at) => ({ subject: `finding-${at}` })));
    await world.emit({ subject: "changing", type: "sla.breached" });
    await until(async () => receiver.at("/many").length === 120);
    await console.go("deliveries");
    await row("changing").getByText("Pending").waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    const release = await console.hold(/\/deliveries\?.*cursor=/);
    await page.getByRole("button", { name: "Load more" }).click();
    // What is shown changes, and something is new, while the next page is on its way.
    receiver.answer("/later", { status: 200 });
    await world.deliveries(`connection_id=${id}`, (items) => items[0]?.status === "delivered");
    await world.emit({ subject: "newcomer" });
    const waits = page.getByRole("button", { name: "1 new" });
    await waits.waitFor();
    release();
    await until(async () => (await shown()) === 121);
    // From here on nobody asks again: what is not shown now was lost.
    await page.getByRole("button", { name: "Pause" }).click();
    await page.evaluate(() => window.scrollTo(0, 0));
    await row("changing").getByText("Delivered").waitFor();
    await waits.click();
    await row("newcomer").waitFor();
    expect(await shown()).toBe(122);
    console.expectClean();
  });

  it("are filtered by what the address says, and back goes back", async () => {
    const { page } = console;
    await world.webhook(`${receiver.url}/good`, "Good");
    await failing("/bad", "Bad");
    await world.emit([{ subject: "one" }, { subject: "two", type: "vulnerability.resolved" }]);
    await world.deliveries("", (items) => items.length === 4 && items.every((item) => item.status !== "pending"));
    await console.go("deliveries");
    expect(await shown()).toBe(4);
    await page.getByRole("button", { name: "Dead", exact: true }).click();
    await page.waitForURL(/status=dead/);
    await until(async () => (await shown()) === 2);
    await page.getByRole("button", { name: "Kind", exact: true }).click();
    await page.getByRole("button", { name: "vulnerability.resolved", exact: true }).click();
    await page.waitForURL(/event=vulnerability\.resolved/);
    await until(async () => (await shown()) === 1);
    await row("two").waitFor();
    await page.goBack();
    await until(async () => (await shown()) === 2);
    await page.goto(`${page.url().split("?")[0]}?subject=one&range=1h`);
    await console.settle();
    expect(await shown()).toBe(2);
    await page.getByText("Last hour").waitFor();
    await page.getByRole("button", { name: "Clear all" }).click();
    await until(async () => (await shown()) === 4);
    await console.go("deliveries?subject=nobody");
    await page.getByText("No delivery matches").waitFor();
    // A filter that the API refuses is told in its words.
    await console.go("deliveries?connection_id=7");
    await page.getByRole("alert").getByText(/connection_id/).waitFor();
    console.expectClean({ except: [/422/] });
  });

  it("show what was sent and answered, and verify with the secret, which stays in the page", async () => {
    const { page } = console;
    receiver.answer("/seen", { status: 200, body: '{"number":12345678901234567890,"said":"a\u202eb"}', headers: { "x-request": "abc" } });
    const { secret } = await world.webhook(`${receiver.url}/seen`);
    await world.emit({ subject: "CVE-2026-0001" });
    const [delivery] = await world.deliveries("status=delivered", (items) => items.length === 1);
    await console.go(`deliveries/${delivery!.id}`);
    await page.getByRole("heading", { name: /vulnerability\.found/ }).waitFor();
    // Digits are not rounded, and what turns letters around is shown as its code.
    await page.getByText("12345678901234567890").waitFor();
    await page.getByText('"a\\u202eb"').waitFor();
    await page.getByRole("tab", { name: "Request" }).click();
    await page.getByRole("table", { name: "Headers of the request" }).getByText(delivery!.id).first().waitFor();
    await page.getByRole("tab", { name: "Signature" }).click();
    const sent: string[] = [];
    page.on("request", (request) => sent.push(request.url() + (request.postData() ?? "") + JSON.stringify(request.headers())));
    const field = page.getByPlaceholder("whsec_… or whpk_…");
    await field.fill(`whsec_${"0".repeat(64)}`);
    await page.getByRole("button", { name: "Verify" }).click();
    expect(await page.getByText(/does not verify/).count().then((n) => n || until(async () => page.getByText(/does not verify/).count()))).toBe(2);
    await field.fill(secret);
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByText("webhook-signature verifies").waitFor();
    await page.getByText("X-Deptex-Signature verifies").waitFor();
    await console.expectAccessible();
    expect(sent.join("\n")).not.toContain(secret.slice(6));
    expect(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage }))).not.toContain(secret.slice(6));
    await page.getByRole("tab", { name: "Reproduce" }).click();
    const command = await page.getByRole("region", { name: "The command" }).innerText();
    expect(command).toContain(`${receiver.url}/seen`);
    expect(command).toContain("--data-raw");
    console.expectClean();
    await console.picture("delivery");
  });

  it("are sent again one by one, with a reason", async () => {
    const { page } = console;
    await failing("/again");
    await world.emit({});
    const [delivery] = await world.deliveries("status=dead", (items) => items.length === 1);
    await console.go(`deliveries/${delivery!.id}`);
    receiver.answer("/again", { status: 200 });
    await page.getByRole("button", { name: "Replay…" }).click();
    await page.getByRole("dialog").getByLabel("Reason").fill("the receiver is back");
    await page.getByRole("dialog").getByRole("button", { name: "Replay", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: /Delivered/ }).waitFor();
    await page.getByRole("button", { name: /^Attempt 2/ }).waitFor();
    expect(receiver.at("/again").at(-1)!.headers["x-deptex-replay"]).toBe("true");
    console.expectClean();
  });

  it("are chosen and replayed together, after it is said what that does", async () => {
    const { page } = console;
    await failing("/some");
    await world.emit([{ subject: "a" }, { subject: "b" }, { subject: "c" }]);
    await world.deliveries("status=dead", (items) => items.length === 3);
    await console.go("deliveries?status=dead");
    await row(" a ").getByRole("checkbox").check();
    await row(" b ").getByRole("checkbox").check();
    await page.getByText("2 deliveries chosen").waitFor();
    receiver.answer("/some", { status: 200 });
    await page.getByRole("button", { name: "Replay…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Ticket bridge").waitFor();
    await dialog.getByText("Retries exhausted").waitFor();
    await console.expectAccessible();
    await dialog.getByRole("button", { name: "Replay 2" }).click();
    await dialog.getByText("Completed").first().waitFor();
    await world.deliveries("status=delivered", (items) => items.length === 2);
    expect(receiver.at("/some").filter((one) => one.headers["x-deptex-replay"] === "true")).toHaveLength(2);
    console.expectClean();
  });

  it("are saved as a table of their own", async () => {
    const { page } = console;
    await world.webhook(`${receiver.url}/saved`, "=HYPERLINK(1)");
    await world.emit([{ subject: "in" }, { subject: "out", type: "vulnerability.resolved" }]);
    await world.deliveries("status=delivered", (items) => items.length === 2);
    await console.go("deliveries?event=vulnerability.found");
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export CSV" }).click();
    const text = readFileSync(await (await download).path(), "utf8");
    expect(text.trim().split(/\r?\n/)).toHaveLength(2);
    expect(text).not.toMatch(/(^|,)"?=/m);
    console.expectClean();
  });

  it("cannot be replayed by those who may only look", async () => {
    await failing("/look");
    await world.emit({});
    const [delivery] = await world.deliveries("status=dead", (items) => items.length === 1);
    const member = await open(world, { token: world.tokenOf("member") });
    await member.go("deliveries");
    expect(await member.page.getByRole("button", { name: /Replay/ }).count()).toBe(0);
    expect(await member.page.getByRole("checkbox").count()).toBe(0);
    await member.go(`deliveries/${delivery!.id}`);
    await member.page.getByRole("button", { name: /^Attempt 1/ }).waitFor();
    expect(await member.page.getByRole("button", { name: /Replay/ }).count()).toBe(0);
    member.expectClean();
  });
});
