// Tests of the console in a real browser against the real program, one after the other.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here(".."),
  test: {
    include: ["e2e/**/*.e2e.ts"],
    globalSetup: here("harness/setup.ts"),
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
    retry: 0,
  },
});
