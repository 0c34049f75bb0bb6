// Round numbers for the axis of a chart.

/** Where lines are drawn, from 0 up to a round number that is not below `max`. */
export function ticks(max: number, wanted = 3): { max: number; at: number[] } {
  const raw = Math.max(max, Number.MIN_VALUE) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw - power * 1e-9) ?? 10 * power;
  // Counts have no halves.
  const size = max >= 1 ? Math.max(1, Number.isInteger(step) ? step : Math.ceil(step)) : step;
  const lines = Math.ceil(max / size - 1e-9);
  return { max: lines * size, at: Array.from({ length: lines + 1 }, (_, line) => line * size) };
}

const TIMES: [number, string][] = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"], [1, "ms"]];

/** As `ticks`, for milliseconds: round minutes are no round thousands. Each line has its text. */
export function timeTicks(max: number): { max: number; at: number[]; text: (value: number) => string } {
  const [size, name] = TIMES.find(([unit]) => max >= unit) ?? TIMES.at(-1)!;
  const scale = ticks(max / size);
  return { max: scale.max * size, at: scale.at.map((value) => value * size), text: (value) => `${Math.round((value / size) * 100) / 100} ${name}` };
}

const DECADES = [1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 86_400_000, 864_000_000];

/** Lines for milliseconds on a logarithmic axis: latencies differ by powers, and one slow hour would press all others flat. */
export function logTimes(values: readonly number[]): { min: number; max: number; at: number[] } {
  const known = values.filter((value) => value > 0);
  const low = DECADES.findLastIndex((line) => line <= Math.min(...known, DECADES.at(-2)!));
  const high = DECADES.findIndex((line) => line >= Math.max(...known, 10));
  const from = known.length > 0 ? Math.max(low, 0) : 0;
  const to = Math.max(high < 0 ? DECADES.length - 1 : high, from + 1);
  const at = DECADES.slice(from, to + 1);
  return { min: at[0]!, max: at.at(-1)!, at };
}
