// The deliveries of an organization, as they happen: filtered, chosen, replayed, exported.
import { Download, Pause, Play, RotateCcw, Send } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import { useSearchParams } from "react-router";

import { useOrganization, useOrganizationPath } from "@/app/organization";
import { exportDeliveries } from "@/api/deliveries";
import type { Delivery } from "@/api/shapes";
import type { LiveState } from "@/api/use-live";
import { Dot, type Tone } from "@/components/badge";
import { Button } from "@/components/button";
import { Card } from "@/components/card";
import { Page } from "@/components/page";
import { LookFurther, Pagination } from "@/components/pagination";
import { EmptyState, Loaded } from "@/components/states";
import { Table } from "@/components/table";
import { useToast } from "@/components/toast";
import { ReplayDialog } from "@/features/replays/replay-dialog";
import { classes } from "@/lib/classes";
import { DELIVERY_FILTERS, filtersSet, readFilter, writeFilter, type DeliveryFilter } from "@/lib/filters";
import { plural } from "@/lib/format";
import { IDS_MAX, notReplayable, selectionOfFilter, type Selection } from "@/lib/replay";
import { CHOOSING, ChoosingContext } from "./choosing";
import { COLUMNS } from "./columns";
import { FilterBar } from "./filter-bar";
import { useLiveList } from "./use-live-list";

const WITH_CHOICE = [...CHOOSING, ...COLUMNS];
const NO_ROWS: Delivery[] = [];

/** Scrolled this far, somebody reads: rows on top would push what they read away. */
const READING_PIXELS = 120;

export function Component() {
  const { id: org, mayManage } = useOrganization();
  const path = useOrganizationPath();
  const [address, setAddress] = useSearchParams();
  const filter = useMemo(() => readFilter(DELIVERY_FILTERS, address), [address]);
  const [isLive, setLive] = useState(true);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [selection, setSelection] = useState<Selection | null>(null);
  const table = useRef<HTMLDivElement>(null);
  // Asked of the page itself: a row that goes away takes its focus along without a word.
  const isInside = () => table.current !== null && (table.current.matches(":hover") || table.current.contains(document.activeElement));
  const isHeld = () => isInside() || chosen.size > 0 || window.scrollY > READING_PIXELS;
  const { list, stream, waiting, show, isFresh } = useLiveList(org, filter, { isLive, isHeld });
  const rows = list.data ?? NO_ROWS;
  const isFiltered = filtersSet(DELIVERY_FILTERS, filter) > 0;

  const change = (next: DeliveryFilter) => {
    setChosen(new Set());
    setAddress(writeFilter(DELIVERY_FILTERS, next), { preventScrollReset: true });
  };
  const choosing = useMemo(() => ({ chosen, rows, onChange: setChosen }), [chosen, rows]);

  return (
    <Page
      title="Deliveries"
      about="Each event on its way to each connection."
      actions={
        <>
          <LiveButton state={stream.state} why={stream.why ?? undefined} isLive={isLive} onChange={setLive} />
          <ExportButton filter={filter} />
          {mayManage && <ReplayMatching filter={filter} onReplay={setSelection} />}
        </>
      }
    >
      <FilterBar filter={filter} onChange={change} />
      <Card isFlush className="relative">
        {chosen.size > 0 && (
          <ChosenBar
            count={chosen.size}
            onClear={() => setChosen(new Set())}
            onReplay={() => setSelection({ delivery_ids: [...chosen].slice(0, IDS_MAX) })}
          />
        )}
        {waiting > 0 && chosen.size === 0 && <WaitingButton count={waiting} onShow={show} />}
        <div ref={table} aria-busy={list.isPlaceholderData} className={classes("transition-opacity", list.isPlaceholderData && "opacity-60")}>
          <Loaded query={list} lines={12}>
            {() => (
              <ChoosingContext value={choosing}>
                <Table
                  label="Deliveries, the newest first"
                  columns={mayManage ? WITH_CHOICE : COLUMNS}
                  rows={rows}
                  rowId={(row) => row.id}
                  rowHref={(row) => path(`deliveries/${row.id}`)}
                  isFresh={isFresh}
                  empty={
                    list.hasNextPage ? (
                      <LookFurther list={list} many="deliveries" icon={<Send aria-hidden />} />
                    ) : (
                      <Nothing isFiltered={isFiltered} onClear={() => change({ status: [] })} />
                    )
                  }
                />
              </ChoosingContext>
            )}
          </Loaded>
        </div>
        {rows.length > 0 && <Pagination list={list} shown={rows.length} noun="delivery" many="deliveries" isLive={isLive} />}
      </Card>
      {selection && (
        <ReplayDialog
          selection={selection}
          onClose={() => setSelection(null)}
          onStarted={() => setChosen(new Set())}
        />
      )}
    </Page>
  );
}

const STATES: Record<LiveState, { tone: Tone; word: string }> = {
  open: { tone: "good", word: "Live" },
  connecting: { tone: "info", word: "Connecting" },
  waiting: { tone: "warn", word: "Reconnecting" },
  refused: { tone: "bad", word: "Not live" },
  off: { tone: "idle", word: "Paused" },
};

function LiveButton({ state, why, isLive, onChange }: { state: LiveState; why?: string; isLive: boolean; onChange: (isLive: boolean) => void }) {
  const { tone, word } = STATES[state];
  return (
    <div className="flex items-center gap-2">
      <span role="status" title={why} className="inline-flex items-center gap-1.5 text-xs text-muted">
        <Dot tone={tone} className={classes(state === "open" && "animate-pulse")} />
        {word}
      </span>
      <Button
        aria-pressed={!isLive}
        icon={isLive ? <Pause className="size-3.5" aria-hidden /> : <Play className="size-3.5" aria-hidden />}
        onClick={() => onChange(!isLive)}
      >
        {isLive ? "Pause" : "Go live"}
      </Button>
    </div>
  );
}

function ExportButton({ filter }: { filter: DeliveryFilter }) {
  const { id: org } = useOrganization();
  const toast = useToast();
  const [isBusy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const file = URL.createObjectURL(await exportDeliveries(org, filter));
      const link = document.createElement("a");
      link.href = file;
      link.download = `deliveries-${new Date().toISOString().slice(0, 10)}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(file), 10_000);
    } catch (error) {
      toast.bad("The export failed", error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button isBusy={isBusy} icon={<Download className="size-3.5" aria-hidden />} onClick={() => void save()}>
      Export CSV
    </Button>
  );
}

function ReplayMatching({ filter, onReplay }: { filter: DeliveryFilter; onReplay: (selection: Selection) => void }) {
  const toast = useToast();
  const unknown = notReplayable(filter);
  const isAll = filtersSet(DELIVERY_FILTERS, filter) === 0;
  const why = isAll ? "Filter first: by a status, a time, a connection…" : unknown.length > 0 ? `A replay cannot be chosen by ${unknown.join(" and ")}` : undefined;
  return (
    <Button
      icon={<RotateCcw className="size-3.5" aria-hidden />}
      aria-disabled={why !== undefined}
      title={why}
      onClick={() => (why ? toast.info(why) : onReplay(selectionOfFilter(filter, Date.now())))}
    >
      Replay all that match…
    </Button>
  );
}

function ChosenBar({ count, onClear, onReplay }: { count: number; onClear: () => void; onReplay: () => void }) {
  return (
    <div className="sticky top-0 z-10 flex items-center gap-3 rounded-t-xl max-lg:top-11 border-b border-line bg-accent-soft px-4 py-2">
      <span role="status" className="mr-auto text-sm font-medium text-accent-ink">
        {plural(count, "delivery", "deliveries")} chosen{count > IDS_MAX && `; the first ${IDS_MAX.toLocaleString("en")} are replayed`}
      </span>
      <Button size="sm" look="quiet" onClick={onClear}>
        Clear
      </Button>
      <Button size="sm" look="primary" icon={<RotateCcw className="size-3.5" aria-hidden />} onClick={onReplay}>
        Replay…
      </Button>
    </div>
  );
}

/** New rows wait while somebody reads. */
function WaitingButton({ count, onShow }: { count: number; onShow: () => void }) {
  return (
    <div className="pointer-events-none sticky top-3 z-10 -mb-9 flex justify-center pt-2 max-lg:top-14">
      <span role="status" className="sr-only">
        New deliveries wait at the top
      </span>
      <Button
        look="primary"
        size="sm"
        className="pointer-events-auto rounded-full animate-rise"
        onClick={() => {
          window.scrollTo({ top: 0 });
          onShow();
        }}
      >
        {count >= 100 ? "100 or more" : count} new
      </Button>
    </div>
  );
}

function Nothing({ isFiltered, onClear }: { isFiltered: boolean; onClear: () => void }) {
  if (isFiltered) {
    return (
      <EmptyState icon={<Send aria-hidden />} title="No delivery matches" action={<Button onClick={onClear}>Clear the filters</Button>}>
        Widen the time, or take off a filter.
      </EmptyState>
    );
  }
  return (
    <EmptyState icon={<Send aria-hidden />} title="No deliveries yet">
      As soon as an event is reported, its way to each connection is shown here.
    </EmptyState>
  );
}
