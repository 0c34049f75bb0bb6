// Whether two JSON values say the same, in whatever order their keys stand.

export function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [mine, theirs] = [Object.entries(a), b as Record<string, unknown>];
  return mine.length === Object.keys(theirs).length && mine.every(([key, value]) => key in theirs && same(value, theirs[key]));
}
