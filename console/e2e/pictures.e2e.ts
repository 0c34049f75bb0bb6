// The pictures of docs/console.md, taken of an organization with much going on: PICTURES=1 npm run e2e -- pictures.
import { beforeAll, describe, it } from "vitest";

import type { Theme } from "./harness/browser";
import { open, receiver } from "./harness/stage";
import { until, World } from "./harness/world";

const SIZE = { width: 1280, height: 800 };
const PACKAGES = ["lodash", "minimist", "axios", "express", "openssl", "left-pad", "log4j-core", "requests"];
const KINDS = ["vulnerability.found", "vulnerability.found", "vulnerability.found", "vulnerability.resolved", "policy.violation", "administrative.member_added", "aegis.activity", "project.status_changed"];

function events(count: number) {
  return Array.from({ length: count }, (_, at) => {
    const name = PACKAGES[at % PACKAGES.length]!;
    return {
      type: KINDS[at % KINDS.length]!,
      subject: `${name}@shop`,
      priority: ["critical", "high", "normal", "low"][at % 4]!,
      data: { vulnerability_id: `CVE-2026-${1_000 + at}`, severity: ["critical", "high", "medium", "low"][at % 4], package: name, version: "4.17.20", project: "shop" },
    };
  });
}

describe.runIf(process.env.PICTURES)("pictures", () => {
  const world = new World();
  const ids: Record<string, string> = {};

  beforeAll(async () => {
    receiver.answer("/siem", { status: 503, body: '{"error":"maintenance"}' });
    receiver.answer("/service-now", { status: 400, body: '{"error":"there is no project SEC"}' });
    for (const [name, path, type] of [["Security alerts", "alerts", "notification"], ["On-call bridge", "on-call", "notification"], ["Legacy SIEM", "siem", "notification"], ["ServiceNow", "service-now", "ticketing"]] as const) {
      ids[name] = (await world.webhook(`${receiver.url}/${path}`, name, { type })).id;
    }
    for (const provider of ["slack", "discord", "jira", "linear", "github", "gitlab"]) ids[provider] = await world.connect(provider);
    await world.api("PATCH", `/api/organizations/{org}/connections/${ids["ServiceNow"]}`, { retry_schedule: [] });
    await world.api("PATCH", `/api/organizations/{org}/connections/${ids["Security alerts"]}`, { event_types: ["vulnerability.*", "malicious.*"], conditions: { all: [{ field: "severity", at_least: "high" }, { field: "data.project", eq: "shop" }] } });
    await world.api("PATCH", `/api/organizations/{org}/connections/${ids["Security alerts"]}`, { rate_limit: { count: 10, seconds: 1 } });
    await world.api("PATCH", `/api/organizations/{org}/connections/${ids["Security alerts"]}`, { headers: { "X-Team": "security" }, retry_schedule: [10, 60, 600, 3_600] });
    const { destinations } = await world.api<{ destinations: { id: string }[] }>("GET", `/api/organizations/{org}/connections/${ids.jira}/destinations`);
    await world.api("PUT", `/api/organizations/{org}/connections/${ids.jira}/destination`, { id: destinations[0]!.id, issue_type: "Bug" });
    await world.emit(events(96));
    await until(async () => receiver.at("/on-call").length >= 90);
    // Statistics are counted some seconds behind.
    await new Promise((done) => setTimeout(done, 15_000));
  });

  const pages: [string, () => string, Theme, string?][] = [
    ["overview", () => "", "light"],
    ["connection-dark", () => `connections/${ids["On-call bridge"]}`, "dark"],
    ["subscription", () => `connections/${ids["Security alerts"]}?tab=subscription`, "light"],
    ["deliveries", () => "deliveries", "light"],
  ];
  for (const [name, path, theme] of pages) {
    it(name, async () => {
      const console = await open(world, { theme, ...SIZE });
      await console.go(path());
      await console.page.waitForTimeout(1_200);
      await console.picture(name);
      console.expectClean();
    });
  }

  it("history and how it stood", async () => {
    const console = await open(world, SIZE);
    await console.go(`connections/${ids["Security alerts"]}?tab=history`);
    await console.page.locator("ol > li").nth(2).getByRole("button", { name: "How it stood then" }).click();
    await console.page.getByRole("dialog").getByText("Version").waitFor();
    await console.picture("history");
  });

  it("one delivery", async () => {
    const dead = await world.deliveries(`status=dead`, (items) => items.length > 0);
    const console = await open(world, SIZE);
    await console.go(`deliveries/${dead[0]!.id}`);
    await console.page.waitForTimeout(800);
    await console.picture("delivery");
  });

  it("a new secret", async () => {
    const console = await open(world, SIZE);
    const { page } = console;
    await console.go("integrations");
    await page.locator("section", { has: page.getByRole("heading", { name: "Notifications" }) }).getByRole("button", { name: "Add Custom" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Audit archive");
    await dialog.getByLabel("Webhook URL").fill(`${receiver.url}/audit`);
    await dialog.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByTestId("secret").waitFor();
    await page.getByRole("button", { name: "Close the message" }).click();
    await page.getByTestId("secret").evaluate((element) => element.scrollIntoView({ block: "center" }));
    await page.waitForTimeout(400);
    await console.picture("secret");
  });
});
