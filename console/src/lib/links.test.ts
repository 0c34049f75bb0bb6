// Only addresses of the web become links.
import { expect, it } from "vitest";

import { webAddress } from "./links";

it.each([
  ["https://jira.test/browse/SEC-12", "https://jira.test/browse/SEC-12"],
  ["http://localhost:8080/x", "http://localhost:8080/x"],
  ["javascript:alert(1)", null],
  [" JaVaScRiPt:alert(1)", null],
  ["data:text/html,<script>", null],
  ["//jira.test/x", null],
  ["SEC-12", null],
  ["", null],
  [null, null],
  [undefined, null],
])("%s becomes %s", (text, link) => {
  expect(webAddress(text)).toBe(link);
});
