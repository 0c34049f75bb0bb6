// I46: only pictures that were uploaded to Relay are loaded.
import { describe, expect, it } from "vitest";

import { ownIcon } from "./own-icon";

describe("i46 pictures", () => {
  const id = "00000000-0000-4000-8000-000000000000";
  it("shows what was uploaded here, by its path", () => {
    expect(ownIcon(`https://relay.example/base/api/integrations/icons/${id}/${id}.png`)).toBe(`/api/integrations/icons/${id}/${id}.png`);
  });
  for (const bad of [`https://evil.test/icon.png`, `https://evil.test/?x=/api/integrations/icons/${id}/${id}.png`, `/api/integrations/icons/${id}/${id}.svg`, "data:image/png;base64,x", null]) {
    it(`does not load ${String(bad).slice(0, 40)}`, () => expect(ownIcon(bad)).toBeNull());
  }
});
