// JSON as a tree that opens and closes, or as it came; digits, order and odd letters are shown as they are.
import { ChevronRight } from "lucide-react";
import { useId, useMemo, useState, type ReactNode } from "react";

import { classes } from "@/lib/classes";
import { childrenOf, parseTree, pretty, quoted, sizeOf, summary, type JsonNode } from "@/lib/json-tree";
import { Button } from "./button";
import { Code } from "./code";
import { Copy } from "./copy";

/** Children are shown in portions of this size: ten thousand keys would stall the page. */
const PORTION = 100;
const TEXT_MAX = 400;
/** A tree of at most so many nodes is open from the beginning. */
const SMALL = 80;

interface Opening {
  /** Nodes above this depth are open, until they are clicked. */
  depth: number;
  /** Changes when all are opened or closed at once. */
  version: number;
}

export function JsonView({ text, label }: { text: string; label: string }) {
  const tree = useMemo(() => parseTree(text), [text]);
  const isSmall = useMemo(() => tree !== null && sizeOf(tree, SMALL + 1) <= SMALL, [tree]);
  const [isRaw, setRaw] = useState(false);
  const [opening, setOpening] = useState<Opening>({ depth: isSmall ? Infinity : 1, version: 0 });
  if (tree === null) return <Code text={text} label={label} isRaw />;
  const openTo = (depth: number) => setOpening((now) => ({ depth, version: now.version + 1 }));
  return (
    <div>
      <div className="mb-2 flex flex-wrap items-center gap-1">
        <div role="group" aria-label={`View of: ${label}`} className="mr-auto inline-flex rounded-lg border border-line p-0.5">
          <View isChosen={!isRaw} onClick={() => setRaw(false)}>
            Tree
          </View>
          <View isChosen={isRaw} onClick={() => setRaw(true)}>
            Raw
          </View>
        </div>
        {!isRaw && childrenOf(tree).length > 0 && (
          <>
            <Button look="quiet" size="sm" onClick={() => openTo(Infinity)}>
              Open all
            </Button>
            <Button look="quiet" size="sm" onClick={() => openTo(1)}>
              Close all
            </Button>
          </>
        )}
        <Copy text={isRaw ? text : pretty(tree)} label={`Copy: ${label}`} />
      </div>
      {isRaw ? (
        <Code text={text} label={`${label}, raw`} isRaw />
      ) : (
        <div
          role="region"
          aria-label={label}
          tabIndex={0}
          dir="ltr"
          className="max-h-[32rem] overflow-auto rounded-lg border border-line bg-sunken px-3 py-2 font-mono text-xs leading-6"
        >
          <Node key={opening.version} node={tree} depth={0} opening={opening} />
        </div>
      )}
    </div>
  );
}

function View({ isChosen, onClick, children }: { isChosen: boolean; onClick: () => void; children: ReactNode }) {
  return (
    <button
      type="button"
      aria-pressed={isChosen}
      onClick={onClick}
      className={classes(
        "rounded-md px-2 py-0.5 text-xs font-medium transition-colors",
        isChosen ? "bg-raised text-ink" : "text-muted hover:text-ink",
      )}
    >
      {children}
    </button>
  );
}

function Node({ name, node, depth, opening }: { name?: string | null; node: JsonNode; depth: number; opening: Opening }) {
  const children = childrenOf(node);
  const [isOpen, setOpen] = useState(depth < opening.depth);
  const [shown, setShown] = useState(PORTION);
  const id = useId();
  if (children.length === 0) {
    return (
      <div className="pl-4">
        <Name name={name} />
        <Leaf node={node} />
      </div>
    );
  }
  return (
    <div>
      <button
        type="button"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen(!isOpen)}
        className="flex w-full items-start rounded text-left hover:bg-raised"
      >
        <ChevronRight aria-hidden className={classes("mt-1.5 size-3 shrink-0 text-muted transition-transform", isOpen && "rotate-90")} />
        <span className="min-w-0 pl-1">
          <Name name={name} />
          <span className="text-faint">{summary(node)}</span>
        </span>
      </button>
      {isOpen && (
        <div id={id} className="ml-1.5 border-l border-line pl-2">
          {children.slice(0, shown).map((child, at) => (
            <Node key={at} name={child.key ?? String(at)} node={child.value} depth={depth + 1} opening={opening} />
          ))}
          {shown < children.length && (
            <Button look="quiet" size="sm" onClick={() => setShown(shown + PORTION)}>
              {Math.min(PORTION, children.length - shown)} more of {children.length - shown}
            </Button>
          )}
        </div>
      )}
    </div>
  );
}

function Name({ name }: { name?: string | null }) {
  if (name === undefined || name === null) return null;
  return (
    <>
      <span className="foreign text-accent-ink">{quoted(name).slice(1, -1)}</span>
      <span className="text-faint">: </span>
    </>
  );
}

const COLOURS = { string: "text-good", number: "text-info", word: "text-warn", object: "text-faint", array: "text-faint" };

function Leaf({ node }: { node: JsonNode }) {
  const [isWhole, setWhole] = useState(false);
  const text = node.kind === "string" ? quoted(node.text) : "text" in node ? node.text : pretty(node);
  const isCut = text.length > TEXT_MAX && !isWhole;
  return (
    <>
      <span className={classes("foreign", COLOURS[node.kind])}>{isCut ? text.slice(0, TEXT_MAX) : text}</span>
      {isCut && (
        <button type="button" onClick={() => setWhole(true)} className="ml-1 rounded text-accent-ink underline">
          … {text.length - TEXT_MAX} more letters
        </button>
      )}
    </>
  );
}
