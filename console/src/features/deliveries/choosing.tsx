// Choosing rows of the list. What is chosen comes by context: a column that changed with it would be built anew, and lose the focus.
import { createContext, use } from "react";

import type { Delivery } from "@/api/shapes";
import type { Columns } from "@/components/table";

interface Choosing {
  chosen: ReadonlySet<string>;
  /** All that are shown. */
  rows: readonly Delivery[];
  onChange: (chosen: ReadonlySet<string>) => void;
}

export const ChoosingContext = createContext<Choosing>({ chosen: new Set(), rows: [], onChange: () => {} });

const BOX = "block size-4";

function ChooseAll() {
  const { chosen, rows, onChange } = use(ChoosingContext);
  const isAll = rows.length > 0 && rows.every((row) => chosen.has(row.id));
  return (
    <input
      type="checkbox"
      aria-label="Choose all rows that are shown"
      className={BOX}
      checked={isAll}
      ref={(box) => {
        if (box) box.indeterminate = !isAll && chosen.size > 0;
      }}
      onChange={() => onChange(isAll ? new Set() : new Set(rows.map((row) => row.id)))}
    />
  );
}

function ChooseOne({ delivery }: { delivery: Delivery }) {
  const { chosen, onChange } = use(ChoosingContext);
  const toggle = () => {
    const next = new Set(chosen);
    if (!next.delete(delivery.id)) next.add(delivery.id);
    onChange(next);
  };
  return (
    <input
      type="checkbox"
      aria-label={`Choose ${delivery.event ?? "the delivery"} to ${delivery.connection_name}`}
      className={BOX}
      checked={chosen.has(delivery.id)}
      onChange={toggle}
    />
  );
}

export const CHOOSING: Columns<Delivery> = [
  {
    id: "choose",
    meta: { width: "2.75rem" },
    header: () => <ChooseAll />,
    cell: ({ row }) => <ChooseOne delivery={row.original} />,
  },
];
