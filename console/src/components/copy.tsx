// A button that copies a text, and says so.
import { Check, Copy as CopyIcon } from "lucide-react";
import { useEffect, useState } from "react";

import { Button, IconButton } from "./button";
import { useToast } from "./toast";

export function Copy({ text, label = "Copy", isLabelled }: { text: string; label?: string; isLabelled?: boolean }) {
  const [isDone, setDone] = useState(false);
  const toast = useToast();
  useEffect(() => {
    if (!isDone) return;
    const timer = setTimeout(() => setDone(false), 1_600);
    return () => clearTimeout(timer);
  }, [isDone]);
  const copy = async () => {
    try {
      // Browsers have none on pages that came by plain http from another machine.
      if (!("clipboard" in navigator) || !navigator.clipboard) return toast.bad("It is not copied", new Error("Browsers copy only on pages that came by https. Mark the text, and copy it by hand."));
      await navigator.clipboard.writeText(text);
      setDone(true);
    } catch {
      toast.bad("The browser did not let us copy it");
    }
  };
  const icon = isDone ? <Check className="size-3.5 text-good" aria-hidden /> : <CopyIcon className="size-3.5" aria-hidden />;
  if (isLabelled) {
    return (
      <Button size="sm" icon={icon} onClick={() => void copy()}>
        {isDone ? "Copied" : label}
      </Button>
    );
  }
  return <IconButton label={isDone ? "Copied" : label} icon={icon} onClick={() => void copy()} />;
}

/** An id by its end, whole when pointed at, with a button to copy it. */
export function Id({ id, label = "Copy the id" }: { id: string; label?: string }) {
  return (
    <span className="inline-flex items-center gap-0.5 font-mono text-xs">
      <span title={id}>…{id.slice(-8)}</span>
      <Copy text={id} label={label} />
    </span>
  );
}
