// Tables of any length: sorted on request, and past a hundred rows only what is near the view is in the page.
import {
  flexRender,
  getCoreRowModel,
  getSortedRowModel,
  useReactTable,
  type Cell,
  type ColumnDef,
  type Row,
  type RowData,
  type SortingState,
} from "@tanstack/react-table";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp } from "lucide-react";
import { Fragment, memo, useLayoutEffect, useRef, useState, type MouseEvent, type ReactNode } from "react";
import { useNavigate } from "react-router";

import { classes } from "@/lib/classes";

declare module "@tanstack/react-table" {
  interface ColumnMeta<TData extends RowData, TValue> {
    /** A CSS width; columns without one share what is left. */
    width?: string;
    align?: "right";
    /** The head is only read out. */
    isHeadHidden?: boolean;
    /** Left out where the page is narrow. */
    isSecondary?: boolean;
  }
}

export type Columns<T> = ColumnDef<T, unknown>[];

const VIRTUAL_FROM = 100;
const ROW_HEIGHT = 41;

export interface TableProps<T> {
  /** What the table is of, read out before it. */
  label: string;
  columns: Columns<T>;
  rows: T[];
  rowId: (row: T) => string;
  /** Where a click on a row leads. One cell must hold the same as a link, for the keyboard. */
  rowHref?: (row: T) => string;
  /** Rows that just came or changed flash once. */
  isFresh?: (row: T) => boolean;
  /** Stands in place of the rows when there are none. */
  empty?: ReactNode;
  /** A row of its own below one of the rows, over the whole width. */
  below?: (row: T) => ReactNode;
  /** Columns can be sorted by a click on their head, except those with `enableSorting: false`. */
  isSortable?: boolean;
}

export function Table<T>({ label, columns, rows, rowId, rowHref, isFresh, empty, below, isSortable = false }: TableProps<T>) {
  const [sorting, setSorting] = useState<SortingState>([]);
  const table = useReactTable({
    data: rows,
    columns,
    getRowId: rowId,
    state: { sorting },
    onSortingChange: setSorting,
    enableSorting: isSortable,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
  });
  const body = useRef<HTMLTableSectionElement>(null);
  const [offset, setOffset] = useState(0);
  const all = table.getRowModel().rows;
  const isVirtual = all.length >= VIRTUAL_FROM;
  useLayoutEffect(() => {
    if (isVirtual && body.current) setOffset(body.current.getBoundingClientRect().top + window.scrollY);
  }, [isVirtual, all.length]);
  const virtual = useWindowVirtualizer({
    count: all.length,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    scrollMargin: offset,
    enabled: isVirtual,
    getItemKey: (at) => all[at]!.id,
  });
  const items = virtual.getVirtualItems();
  const before = items.length > 0 ? items[0]!.start - offset : 0;
  const after = items.length > 0 ? virtual.getTotalSize() - (items.at(-1)!.end - offset) : 0;
  const span = table.getVisibleLeafColumns().length;
  const one = (row: Row<T>, at: number) => {
    const more = below?.(row.original);
    return (
      <Fragment key={row.id}>
        <Line cells={row.getVisibleCells()} at={at} href={rowHref?.(row.original)} isFresh={isFresh?.(row.original)} measure={isVirtual ? virtual.measureElement : undefined} />
        {more && (
          <tr className="border-b border-line last:border-b-0">
            <td colSpan={span} className="px-4 py-3">
              {more}
            </td>
          </tr>
        )}
      </Fragment>
    );
  };
  if (rows.length === 0 && empty) return empty;
  return (
    <div className="overflow-x-auto" tabIndex={-1}>
      <table aria-label={label} aria-rowcount={all.length + 1} className="w-full table-fixed border-collapse text-sm">
        <colgroup>
          {table.getVisibleLeafColumns().map((column) => (
            <col key={column.id} className={column.columnDef.meta?.isSecondary ? "max-lg:hidden" : undefined} style={{ width: column.columnDef.meta?.width }} />
          ))}
        </colgroup>
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id} aria-rowindex={1} className="border-b border-line">
              {group.headers.map((header) => {
                const { meta } = header.column.columnDef;
                const sorted = header.column.getIsSorted();
                const text = flexRender(header.column.columnDef.header, header.getContext());
                return (
                  <th
                    key={header.id}
                    scope="col"
                    aria-sort={sorted ? (sorted === "asc" ? "ascending" : "descending") : undefined}
                    className={classes(
                      "h-9 px-4 text-left text-xs font-medium whitespace-nowrap text-muted",
                      meta?.align === "right" && "text-right",
                      meta?.isSecondary && "max-lg:hidden",
                    )}
                  >
                    {meta?.isHeadHidden ? (
                      <span className="sr-only">{text}</span>
                    ) : header.column.getCanSort() ? (
                      <button type="button" onClick={header.column.getToggleSortingHandler()} className="inline-flex items-center gap-1 rounded hover:text-ink">
                        {text}
                        {sorted === "asc" && <ArrowUp className="size-3" aria-hidden />}
                        {sorted === "desc" && <ArrowDown className="size-3" aria-hidden />}
                      </button>
                    ) : (
                      text
                    )}
                  </th>
                );
              })}
            </tr>
          ))}
        </thead>
        <tbody ref={body}>
          {isVirtual ? (
            <>
              <Gap height={before} />
              {items.map((item) => one(all[item.index]!, item.index))}
              <Gap height={after} />
            </>
          ) : (
            all.map(one)
          )}
        </tbody>
      </table>
    </div>
  );
}

/** One cell is enough: one over all columns would bring back those that a narrow page leaves out. */
function Gap({ height }: { height: number }) {
  if (height <= 0) return null;
  return (
    <tr aria-hidden="true">
      <td style={{ height: `${height}px` }} />
    </tr>
  );
}

/** Links, buttons and selected text in a row keep their own click. */
function isOwnClick(event: MouseEvent): boolean {
  const target = event.target as Element;
  return Boolean(target.closest("a,button,input,select,label,textarea,[role=menuitem]")) || Boolean(window.getSelection()?.toString());
}

interface LineProps<T> {
  cells: Cell<T, unknown>[];
  at: number;
  href?: string;
  isFresh?: boolean;
  measure?: (element: Element | null) => void;
}

function PlainLine<T>({ cells, at, href, isFresh, measure }: LineProps<T>) {
  const navigate = useNavigate();
  const open = href
    ? (event: MouseEvent) => {
        if (!isOwnClick(event)) void navigate(href);
      }
    : undefined;
  return (
    <tr
      ref={measure}
      data-index={at}
      aria-rowindex={at + 2}
      onClick={open}
      className={classes("group/row border-b border-line last:border-b-0 hover:bg-raised/60", href && "cursor-pointer", isFresh && "animate-flash")}
    >
      {cells.map((cell) => {
        const { meta } = cell.column.columnDef;
        return (
          <td key={cell.id} className={classes("h-10 truncate px-4 py-1.5", meta?.align === "right" && "tabular text-right", meta?.isSecondary && "max-lg:hidden")}>
            {flexRender(cell.column.columnDef.cell, cell.getContext())}
          </td>
        );
      })}
    </tr>
  );
}

/** Drawn anew only when its row changes: scrolling draws those that come into view and no others. */
const Line = memo(PlainLine) as typeof PlainLine;
