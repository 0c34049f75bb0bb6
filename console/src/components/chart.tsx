// Charts as plain SVG: stacked bars and lines over time, each with the same numbers as a table for those who cannot see it.
import { useEffect, useId, useRef, useState, type PointerEvent, type ReactNode, type RefObject } from "react";

import { span } from "@/lib/format";
import { logTimes, ticks, timeTicks } from "@/lib/ticks";
import { classes } from "@/lib/classes";

export type Colour = "good" | "warn" | "bad" | "info" | "idle" | "accent";

const FILL: Record<Colour, string> = {
  good: "fill-good-mark",
  warn: "fill-warn-mark",
  bad: "fill-bad-mark",
  info: "fill-info-mark",
  idle: "fill-idle-mark",
  accent: "fill-accent",
};
const STROKE: Record<Colour, string> = {
  good: "stroke-good-mark",
  warn: "stroke-warn-mark",
  bad: "stroke-bad-mark",
  info: "stroke-info-mark",
  idle: "stroke-idle-mark",
  accent: "stroke-accent",
};
const SWATCH: Record<Colour, string> = {
  good: "bg-good-mark",
  warn: "bg-warn-mark",
  bad: "bg-bad-mark",
  info: "bg-info-mark",
  idle: "bg-idle-mark",
  accent: "bg-accent",
};

export interface Series {
  name: string;
  colour: Colour;
  /** One value for each label; null is a gap. */
  values: (number | null)[];
}

interface Props {
  /** What it shows, in a sentence. */
  label: string;
  series: Series[];
  /** One for each value, as it is read out and shown when pointed at. */
  labels: string[];
  /** How a value is written. */
  format?: (value: number) => string;
  height?: number;
}

const LEFT = 48;
const BOTTOM = 18;
const TOP = 6;

/** Bars on top of each other, one stack for each label. */
export function BarChart(props: Props) {
  const { series, labels, height = 160 } = props;
  const [frame, width] = useWidth();
  const totals = labels.map((_, at) => series.reduce((sum, one) => sum + (one.values[at] ?? 0), 0));
  const scale = scaleOf(Math.max(...totals, 1), props.format);
  const step = (width - LEFT) / Math.max(labels.length, 1);
  const y = (value: number) => TOP + (1 - value / scale.max) * (height - TOP - BOTTOM);
  return (
    <Frame {...props} frame={frame} width={width} scale={scale} y={y} step={step}>
      {labels.map((_, at) => {
        let base = 0;
        return series.map((one) => {
          const value = one.values[at] ?? 0;
          const top = base + value;
          const bar = value > 0 && (
            <rect key={one.name} x={LEFT + at * step + step * 0.14} width={step * 0.72} y={y(top)} height={Math.max(y(base) - y(top), 1)} rx={1.5} className={FILL[one.colour]} />
          );
          base = top;
          return bar;
        });
      })}
    </Frame>
  );
}

/** Lines through the middle of each label's place. On a logarithmic axis values are milliseconds. */
export function LineChart({ isLogarithmic = false, ...props }: Props & { isLogarithmic?: boolean }) {
  const { series, labels, height = 160 } = props;
  const [frame, width] = useWidth();
  const known = series.flatMap((one) => one.values).filter((value): value is number => value !== null);
  const log = isLogarithmic ? logTimes(known) : null;
  const scale = log ? { ...log, text: span } : scaleOf(Math.max(...known, 1), props.format);
  const step = (width - LEFT) / Math.max(labels.length, 1);
  const x = (at: number) => LEFT + (at + 0.5) * step;
  // From 0 to 1: how far up a value stands.
  const up = (value: number) => (log ? Math.log(Math.max(value, log.min) / log.min) / Math.log(log.max / log.min) : value / scale.max);
  const y = (value: number) => TOP + (1 - up(value)) * (height - TOP - BOTTOM);
  return (
    <Frame {...props} frame={frame} width={width} scale={scale} y={y} step={step}>
      {series.map((one) => (
        <g key={one.name}>
          <path d={path(one.values, x, y)} className={classes("fill-none", STROKE[one.colour])} strokeWidth={1.75} strokeLinejoin="round" strokeLinecap="round" />
          {one.values.map((value, at) => {
            const isAlone = value !== null && (one.values[at - 1] ?? null) === null && (one.values[at + 1] ?? null) === null;
            return isAlone && <circle key={at} cx={x(at)} cy={y(value)} r={2.2} className={FILL[one.colour]} />;
          })}
        </g>
      ))}
    </Frame>
  );
}

/** As wide as its place, so that texts keep their size. */
function useWidth(): [RefObject<HTMLElement | null>, number] {
  const frame = useRef<HTMLElement>(null);
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => entry && setWidth(Math.max(240, Math.round(entry.contentRect.width))));
    if (frame.current) watch.observe(frame.current);
    return () => watch.disconnect();
  }, []);
  return [frame, width];
}

interface Scale {
  max: number;
  at: number[];
  text: (value: number) => string;
}

function scaleOf(max: number, format: (value: number) => string = String): Scale {
  return format === span ? timeTicks(max) : { ...ticks(max), text: format };
}

/** Below its bar, but not past the end. */
function place(middle: number, text: string, width: number): { x: number; textAnchor: "middle" | "end" } {
  const isLast = middle + text.length * 3.2 > width;
  return isLast ? { x: width, textAnchor: "end" } : { x: middle, textAnchor: "middle" };
}

/** Roughly, with room beside it. */
function labelWidth(labels: string[]): number {
  return Math.max(...labels.map((label) => label.length), 1) * 6.2 + 24;
}

function path(values: (number | null)[], x: (at: number) => number, y: (value: number) => number): string {
  let drawn = "";
  let isDown = false;
  values.forEach((value, at) => {
    if (value !== null) drawn += `${isDown ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    isDown = value !== null;
  });
  return drawn;
}

function Frame({ label, series, labels, format = String, height = 160, frame, width, scale, y, step, children }: Props & {
  frame: RefObject<HTMLElement | null>;
  width: number;
  scale: Scale;
  y: (value: number) => number;
  step: number;
  children: ReactNode;
}) {
  const [pointed, setPointed] = useState<number | null>(null);
  const id = useId();
  const point = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = Math.floor((((event.clientX - box.left) / box.width) * width - LEFT) / step);
    setPointed(at >= 0 && at < labels.length ? at : null);
  };
  const every = Math.max(1, Math.ceil((labels.length * labelWidth(labels)) / (width - LEFT)));
  return (
    <figure ref={frame} className="relative m-0 min-w-0">
      <svg role="img" aria-labelledby={id} viewBox={`0 0 ${width} ${height}`} className="block w-full" onPointerMove={point} onPointerLeave={() => setPointed(null)}>
        <title id={id}>{label}</title>
        {scale.at.map((value) => (
          <g key={value}>
            <line x1={LEFT} x2={width} y1={y(value)} y2={y(value)} className="stroke-line" />
            <text x={LEFT - 8} y={y(value) + 3.5} textAnchor="end" className="fill-faint text-[11px]">
              {scale.text(value)}
            </text>
          </g>
        ))}
        {labels.map((text, at) => at % every === 0 && (
          <text key={at} {...place(LEFT + (at + 0.5) * step, text, width)} y={height - 3} className="fill-faint text-[11px]">
            {text}
          </text>
        ))}
        {pointed !== null && <rect x={LEFT + pointed * step} width={step} y={TOP} height={height - TOP - BOTTOM} className="fill-ink opacity-5" />}
        {children}
      </svg>
      <figcaption className="mt-2 flex min-h-5 flex-wrap items-center gap-x-4 gap-y-1 text-xs text-muted" aria-hidden>
        {series.map((one) => (
          <span key={one.name} className="inline-flex items-center gap-1.5">
            <span className={classes("size-2 rounded-sm", SWATCH[one.colour])} />
            {one.name}
            {pointed !== null && <b className="tabular font-semibold text-ink">{shown(one.values[pointed], format)}</b>}
          </span>
        ))}
        {pointed !== null && <span className="tabular ml-auto">{labels[pointed]}</span>}
      </figcaption>
      <div className="sr-only">
        <table>
          <caption>{label}</caption>
          <thead>
            <tr>
              <th scope="col">When</th>
              {series.map((one) => (
                <th key={one.name} scope="col">{one.name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {labels.map((text, at) => (
              <tr key={at}>
                <th scope="row">{text}</th>
                {series.map((one) => (
                  <td key={one.name}>{shown(one.values[at], format)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

function shown(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? "–" : format(value);
}
