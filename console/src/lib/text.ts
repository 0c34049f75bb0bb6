// Sizes and codes as people read them.

/** `1.2 KiB`. */
export function bytes(n: number): string {
  if (n < 1024) return `${n} B`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(1)} KiB`;
  return `${(n / 1024 / 1024).toFixed(1)} MiB`;
}

/** The length of a text in UTF-8. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** `snake_case` as words: what stands in for a code that has no sentence yet. */
export function humanise(code: string): string {
  const words = code.replaceAll("_", " ").trim();
  return words === "" ? "" : words.charAt(0).toUpperCase() + words.slice(1);
}
