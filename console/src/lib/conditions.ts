// Conditions on events, as a form shows them: one flat list of tests that must all, or any, hold. Anything deeper is JSON.

export type Scalar = string | number | boolean;
export interface Test {
  field: string;
  operator: Operator;
  /** As typed; `in` has one value on each line. */
  value: string;
}
export interface Flat {
  mode: "all" | "any";
  tests: Test[];
}

export const OPERATORS = ["at_least", "eq", "ne", "in", "starts_with", "gt", "gte", "lt", "lte", "exists"] as const;
export type Operator = (typeof OPERATORS)[number];

export const OPERATOR_LABELS: Record<Operator, string> = {
  at_least: "is at least",
  eq: "is",
  ne: "is not",
  in: "is one of",
  starts_with: "begins with",
  gt: "is greater than",
  gte: "is at least (number)",
  lt: "is less than",
  lte: "is at most (number)",
  exists: "is there",
};

/** The flat list that a condition is; null if it is something deeper. No condition is an empty list. */
export function flatten(condition: unknown): Flat | null {
  if (condition === null || condition === undefined) return { mode: "all", tests: [] };
  if (typeof condition !== "object" || Array.isArray(condition)) return null;
  const entries = Object.entries(condition);
  const only = entries.length === 1 ? entries[0] : undefined;
  if (only && (only[0] === "all" || only[0] === "any") && Array.isArray(only[1])) {
    const tests = only[1].map(readTest);
    return tests.every((test) => test !== null) ? { mode: only[0], tests } : null;
  }
  const test = readTest(condition);
  return test && { mode: "all", tests: [test] };
}

function readTest(part: unknown): Test | null {
  if (typeof part !== "object" || part === null) return null;
  const { field, ...rest } = part as Record<string, unknown>;
  const [operator, ...others] = Object.keys(rest);
  if (typeof field !== "string" || !operator || others.length > 0) return null;
  if (!(OPERATORS as readonly string[]).includes(operator)) return null;
  const value = rest[operator];
  if (operator === "in") {
    if (!Array.isArray(value) || !value.every(isScalar)) return null;
    return { field, operator, value: value.map(written).join("\n") };
  }
  return isScalar(value) ? { field, operator: operator as Operator, value: written(value) } : null;
}

function isScalar(value: unknown): value is Scalar {
  return ["string", "number", "boolean"].includes(typeof value);
}

/** A text that would be read as a number or a truth value stands in quotes. */
function written(value: Scalar): string {
  if (typeof value === "string") return typeof read(value) === "string" && !/^".*"$/.test(value) ? value : JSON.stringify(value);
  return String(value);
}

/** `true`, `7.5` and `"7.5"` are what they look like; all else is text. */
function read(text: string): Scalar {
  const plain = text.trim();
  if (plain === "true" || plain === "false") return plain === "true";
  if (/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(plain)) return Number(plain);
  if (/^".*"$/s.test(plain)) {
    try {
      return JSON.parse(plain) as string;
    } catch {
      return plain;
    }
  }
  return plain;
}

/** The condition that a list stands for; null for an empty one. */
export function unflatten({ mode, tests }: Flat): unknown {
  const parts = tests.map(({ field, operator, value }) => ({ field: field.trim(), [operator]: valueOf(operator, value) }));
  if (parts.length === 0) return null;
  return parts.length === 1 ? parts[0] : { [mode]: parts };
}

function valueOf(operator: Operator, value: string): unknown {
  switch (operator) {
    case "in":
      return value.split("\n").map((line) => line.trim()).filter(Boolean).map(read);
    case "exists":
      return value.trim() !== "false";
    case "at_least":
    case "starts_with": {
      const text = read(value);
      return typeof text === "string" ? text : value.trim();
    }
    default:
      return read(value);
  }
}
