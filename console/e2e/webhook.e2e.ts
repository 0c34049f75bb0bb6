// The life of a custom webhook, by hand: connected, tested, received from, failing, looked into, replayed, given a new secret, removed.
import { beforeEach, describe, expect, it } from "vitest";

import type { Console } from "./harness/browser";
import { isSignedWith } from "./harness/receiver";
import { open, receiver } from "./harness/stage";
import { until, World } from "./harness/world";

describe("a custom webhook", () => {
  let world: World;
  let console: Console;

  beforeEach(async () => {
    world = new World();
    console = await open(world);
  });

  it("is connected, shows its secret once, and receives what that secret signs", async () => {
    const { page } = console;
    await console.go("integrations");
    const card = page.locator("section", { has: page.getByRole("heading", { name: "Notifications" }) });
    await card.getByRole("button", { name: "Add Custom" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Security alerts");
    await dialog.getByLabel("Webhook URL").fill(`${receiver.url}/first`);
    await dialog.getByRole("button", { name: "Add", exact: true }).click();
    const secret = await page.getByTestId("secret").innerText();
    expect(secret).toMatch(/^whsec_[0-9a-f]{64}$/);
    await page.getByRole("button", { name: "Copy the secret" }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(secret);
    await world.emit({});
    const received = await until(async () => receiver.at("/first")[0]);
    expect(isSignedWith(secret, received)).toBe(true);
    expect(JSON.parse(received.body)).toMatchObject({ event: "vulnerability.found", organization_id: world.organization });
    // The secret is gone with the page.
    await console.go("integrations");
    expect(await page.content()).not.toContain(secret);
    expect(await page.getByTestId("secret").count()).toBe(0);
    console.expectClean();
  });

  it("tells its secret even to somebody who has closed the dialog meanwhile", async () => {
    const { page } = console;
    const release = await console.hold("**/custom-integrations");
    await console.go("integrations");
    const card = page.locator("section", { has: page.getByRole("heading", { name: "Notifications" }) });
    await card.getByRole("button", { name: "Add Custom" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Impatient");
    await dialog.getByLabel("Webhook URL").fill(`${receiver.url}/impatient`);
    await dialog.getByRole("button", { name: "Add", exact: true }).click();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    release();
    expect(await page.getByTestId("secret").innerText()).toMatch(/^whsec_[0-9a-f]{64}$/);
    await page.getByRole("row", { name: /Impatient/ }).first().waitFor();
    console.expectClean();
  });

  it("says what a test came to", async () => {
    const { page } = console;
    const { id } = await world.webhook(`${receiver.url}/tested`);
    await console.go(`connections/${id}`);
    const send = page.getByRole("button", { name: "Send a test" });
    const release = await console.hold(`**/connections/${id}/test`);
    await send.focus();
    // While it is at work it keeps the focus, and takes no second press.
    await page.keyboard.press("Enter");
    await page.locator("button[aria-busy]").waitFor();
    await page.keyboard.press("Enter");
    expect(await send.evaluate((button) => button === document.activeElement)).toBe(true);
    release();
    await page.getByText("The test arrived", { exact: true }).waitFor();
    receiver.answer("/tested", { status: 500 });
    await send.click();
    await page.getByText("The test did not arrive", { exact: true }).waitFor();
    expect(receiver.at("/tested").map((one) => one.headers["x-deptex-event"])).toEqual(["test.ping", "test.ping"]);
    console.expectClean();
  });

  it("gets a new secret, and the old one ends", async () => {
    const { page } = console;
    const before = await world.webhook(`${receiver.url}/rotated`);
    await console.go("integrations");
    const row = page.getByRole("row", { name: /Security alerts/ });
    await row.hover();
    await row.getByRole("button", { name: "Edit Security alerts" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Regenerate" }).click();
    await dialog.getByRole("button", { name: "Regenerate the secret" }).click();
    const secret = await page.getByTestId("secret").innerText();
    expect(secret).toMatch(/^whsec_/);
    expect(secret).not.toBe(before.secret);
    await page.getByRole("button", { name: "Done" }).click();
    await world.emit({});
    const received = await until(async () => receiver.at("/rotated")[0]);
    expect(isSignedWith(secret, received)).toBe(true);
    expect(isSignedWith(before.secret, received)).toBe(false);
    console.expectClean();
  });

  it("is edited, with a picture of its own", async () => {
    const { page } = console;
    await world.webhook(`${receiver.url}/edited`);
    await console.go("integrations");
    await page.getByRole("row", { name: /Security alerts/ }).hover();
    await page.getByRole("button", { name: "Edit Security alerts" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Renamed");
    const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");
    await dialog.getByLabel("Picture", { exact: true }).setInputFiles({ name: "icon.png", mimeType: "image/png", buffer: png });
    await dialog.locator("img").waitFor();
    await dialog.getByRole("button", { name: "Save" }).click();
    const row = page.getByRole("row", { name: /Renamed/ });
    await row.waitFor();
    const shown = row.locator("img");
    expect(await shown.evaluate((image: HTMLImageElement) => image.complete && image.naturalWidth)).toBe(1);
    console.expectClean();
  });

  it("is removed, and its history stays", async () => {
    const { page } = console;
    const { id } = await world.webhook(`${receiver.url}/removed`);
    await console.go("integrations");
    await page.getByRole("row", { name: /Security alerts/ }).hover();
    await page.getByRole("button", { name: "Remove Security alerts" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await page.getByText("Security alerts is removed", { exact: true }).waitFor();
    await until(async () => (await page.getByRole("row", { name: /Security alerts/ }).count()) === 0);
    await console.go(`connections/${id}?tab=history`);
    await page.getByText("It was removed. Its history and its deliveries stay.").waitFor();
    await page.getByText(/removed/i).first().waitFor();
    expect(await page.getByRole("button", { name: "Pause" }).count()).toBe(0);
    await console.expectAccessible();
    // That it is no more is asked first, and refused.
    console.expectClean({ except: [/404/] });
  });

  it("is paused, resumed, and what it missed is replayed", async () => {
    const { page } = console;
    const { id } = await world.webhook(`${receiver.url}/paused`);
    await console.go(`connections/${id}`);
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("It is paused.", { exact: true }).waitFor();
    await world.emit([1, 2, 3].map((number) => ({ data: { number } })));
    await world.deliveries("status=skipped", (items) => items.length === 3);
    expect(receiver.at("/paused")).toEqual([]);
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByText(/3 deliveries were skipped/).waitFor();
    await page.getByRole("link", { name: "Replay what it missed" }).click();
    await page.getByRole("button", { name: /Replay 3/ }).click();
    await until(async () => receiver.at("/paused").length === 3);
    expect(receiver.at("/paused").map((one) => (JSON.parse(one.body) as { data: { number: number } }).data.number).sort()).toEqual([1, 2, 3]);
    console.expectClean();
  });
});
