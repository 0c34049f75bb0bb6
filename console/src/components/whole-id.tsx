// An id in full: those of one moment differ in their middle, where a shortened one has its dots.
import { Copy } from "./copy";

export function WholeId({ id, label }: { id: string; label: string }) {
  return (
    <span className="flex items-start gap-1">
      <span className="min-w-0 font-mono text-2xs leading-5 break-all">{id}</span>
      <span className="-my-1 shrink-0">
        <Copy text={id} label={label} />
      </span>
    </span>
  );
}
