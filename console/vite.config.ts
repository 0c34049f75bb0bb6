// How the console is built: below /console/, every asset named by its content and compressed ahead.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Writes each file of the build beside itself in Brotli and gzip, so that nothing is compressed per request. */
function compressAhead(): Plugin {
  return {
    name: "compress-ahead",
    apply: "build",
    closeBundle() {
      const directory = here("dist");
      for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const bytes = readFileSync(path);
        const quality = { [constants.BROTLI_PARAM_QUALITY]: 11 };
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: quality }));
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  base: "/console/",
  plugins: [react(), tailwindcss(), compressAhead()],
  resolve: {
    alias: {
      "@": here("src"),
      // Radix locks the page's scrolling with a package that writes a <style>, which our policy forbids.
      "react-remove-scroll": here("src/components/scroll-lock.tsx"),
    },
  },
  build: { target: "es2022", assetsInlineLimit: 0, reportCompressedSize: false },
  server: {
    // `npm run dev` beside `relay dev`: the API answers from there.
    proxy: {
      "/api": process.env.RELAY_URL ?? "http://127.0.0.1:3001",
      "/v1": process.env.RELAY_URL ?? "http://127.0.0.1:3001",
      // It answers only pages of the address that it is asked at: so that has to stay.
      "/console/session": { target: process.env.RELAY_URL ?? "http://127.0.0.1:3001", changeOrigin: false },
    },
  },
  test: { include: ["src/**/*.test.{ts,tsx}"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
