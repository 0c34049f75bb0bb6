// What the tests of a file stand on: one browser and one receiver for all of them, and pages that are closed when their test ends.
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll } from "vitest";

import { Console, startBrowser, type Opening } from "./browser";
import { Receiver } from "./receiver";
import type { World } from "./world";

// Each file of tests has this module for itself: whoever imports it gets these hooks as well.
let browser: Browser;
export let receiver: Receiver;
const opened: Console[] = [];

beforeAll(async () => {
  [browser, receiver] = [await startBrowser(), await Receiver.start()];
});
afterEach(async () => {
  for (const console of opened.splice(0)) await console.close();
});
afterAll(async () => {
  await browser.close();
  await receiver.stop();
});

/** A page of the console with the world's owner signed in, unless it is said otherwise. */
export async function open(world: World, opening: Opening = {}): Promise<Console> {
  const console = await Console.open(browser, world, opening);
  opened.push(console);
  return console;
}
