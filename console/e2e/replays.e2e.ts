// B40: replays by hand: told beforehand, started, watched, slowed, paused, resumed, called off.
import { beforeEach, describe, expect, it } from "vitest";

import type { Console } from "./harness/browser";
import { open, receiver } from "./harness/stage";
import { World } from "./harness/world";

describe("replays", () => {
  let world: World;
  let console: Console;

  beforeEach(async () => {
    world = new World();
    console = await open(world);
  });

  /** So many dead deliveries at a receiver that takes everything from now on. */
  async function dead(path: string, number: number) {
    receiver.answer(path, { status: 400, body: "no" });
    const { id } = await world.webhook(receiver.url + path, "Ticket bridge");
    await world.api("PATCH", `/api/organizations/{org}/connections/${id}`, { retry_schedule: [] });
    await world.emit(Array.from({ length: number }, (_, at) => ({ subject: `finding-${at}` })));
    await world.deliveries("status=dead", (items) => items.length === number);
    receiver.answer(path, { status: 200 });
  }

  it("say what they would do, then do it, and show that it is done", async () => {
    const { page } = console;
    await dead("/done", 12);
    await console.go("replays");
    await page.getByText("Nothing was replayed yet").waitFor();
    await page.getByRole("link", { name: "New replay" }).first().click();
    await page.getByRole("heading", { name: "New replay" }).waitFor();
    await page.getByText("Ticket bridge").last().waitFor();
    await console.expectAccessible();
    await console.picture("replay");
    const rate = page.getByLabel("Deliveries per second");
    await rate.fill("0");
    await page.getByText("A whole number from 1 to 10,000").waitFor();
    expect(await page.getByRole("button", { name: /^Replay 12$/ }).isEnabled()).toBe(false);
    await rate.fill("1");
    await page.getByLabel("Reason").fill("the receiver is back");
    // What narrows it is counted anew.
    await page.getByLabel("Subject").fill("finding-3");
    await page.getByRole("button", { name: /^Replay 1$/ }).waitFor();
    await page.getByLabel("Subject").fill("");
    const asked: string[] = [];
    page.on("request", (request) => /\/replays\/[0-9a-f-]{36}$/.test(request.url()) && asked.push(request.url()));
    await page.getByRole("button", { name: /^Replay 12$/ }).click();
    await page.waitForURL(/replays\/[0-9a-f-]{36}$/);
    await page.getByText("Completed", { exact: true }).waitFor();
    // The stream tells of each second; it is asked for when the stream opens, when its status changes, and hardly ever else.
    expect(asked.filter((url) => url.includes("/api/")).length).toBeLessThanOrEqual(6);
    await page.getByText("the receiver is back").waitFor();
    await page.getByRole("status").filter({ hasText: "Completed: 12 deliveries replayed" }).waitFor({ state: "attached" });
    await world.deliveries("status=delivered", (items) => items.length === 12);
    expect(receiver.at("/done").filter((one) => one.headers["x-deptex-replay"] === "true")).toHaveLength(12);
    expect(await page.getByRole("button", { name: /Pause|Cancel/ }).count()).toBe(0);
    await console.go("replays");
    await page.getByRole("row", { name: /Completed.*12 of 12/ }).waitFor();
    console.expectClean();
  });

  it("are paused, go on, change their rate, and are called off", async () => {
    const { page } = console;
    await dead("/slow", 12);
    await console.go("replays/new");
    await page.getByLabel("Deliveries per second").fill("1");
    await page.getByRole("button", { name: /^Replay 12$/ }).click();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("Paused", { exact: true }).first().waitFor();
    await console.expectAccessible();
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByText("Running", { exact: true }).waitFor();
    await page.getByRole("button", { name: "1 per second" }).click();
    await page.getByRole("dialog").getByLabel("Deliveries per second").fill("2");
    await page.getByRole("dialog").getByRole("button", { name: "Change" }).click();
    await page.getByRole("button", { name: "2 per second" }).waitFor();
    await page.getByRole("button", { name: "Cancel replay" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel the replay" }).click();
    await page.getByText("Cancelled", { exact: true }).waitFor();
    // It does not begin again.
    const sent = receiver.at("/slow").length;
    await page.waitForTimeout(2_500);
    expect(receiver.at("/slow").length).toBeLessThanOrEqual(sent + 1);
    expect(receiver.at("/slow").length).toBeLessThan(24);
    console.expectClean();
  });

  it("begin with what a link names", async () => {
    const { page } = console;
    await dead("/linked", 2);
    await console.go("replays?new=1&status=dead&subject=finding-1");
    await page.getByRole("heading", { name: "New replay" }).waitFor();
    expect(await page.getByLabel("By filter").isChecked()).toBe(true);
    expect(await page.getByLabel("Subject").inputValue()).toBe("finding-1");
    await page.getByRole("button", { name: /^Replay 1$/ }).waitFor();
    console.expectClean();
  });
});
