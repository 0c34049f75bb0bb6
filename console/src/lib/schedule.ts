// Waits between attempts, as people write them: `5 s, 2 min, 1 h`.

const UNITS: Record<string, number> = { s: 1, sec: 1, m: 60, min: 60, h: 3_600, d: 86_400 };
const WAITS_MAX = 20;
const WAIT_SECONDS_MAX = 604_800;

/** Our own schedule, for where a connection has none. */
export const DEFAULT_SCHEDULE = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400];

/** Seconds from what was typed, or what is wrong with it. */
export function readSchedule(text: string): { waits: number[] } | { mistake: string } {
  const parts = text.split(/[,\n]/).map((part) => part.trim()).filter(Boolean);
  if (parts.length > WAITS_MAX) return { mistake: `At most ${WAITS_MAX} waits.` };
  const waits: number[] = [];
  for (const part of parts) {
    const [, digits, unit] = /^(\d+)\s*([a-z]*)$/i.exec(part) ?? [];
    const size = UNITS[(unit || "s").toLowerCase()];
    if (!digits || !size) return { mistake: `“${part.slice(0, 30)}” is not a wait such as 30 s, 5 min or 2 h.` };
    const seconds = Number(digits) * size;
    if (seconds < 1 || seconds > WAIT_SECONDS_MAX) return { mistake: "A wait has between 1 s and 7 d." };
    waits.push(seconds);
  }
  return { waits };
}

/** One wait in its largest whole unit. */
export function writeWait(seconds: number): string {
  for (const [unit, size] of [["d", 86_400], ["h", 3_600], ["min", 60]] as const) {
    if (seconds >= size && seconds % size === 0) return `${seconds / size} ${unit}`;
  }
  return `${seconds} s`;
}

export function writeSchedule(waits: number[]): string {
  return waits.map(writeWait).join(", ");
}
