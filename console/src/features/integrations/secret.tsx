// A signing secret, shown the one time that it can be.
import { KeyRound } from "lucide-react";

import { Button } from "@/components/button";
import { Copy } from "@/components/copy";

export interface Shown {
  /** `whsec_…`; or the public key of a pair, which is no secret. */
  text: string;
  isPublic: boolean;
  /** Of the connection, for as long as no list shows it. */
  provider: string;
  name: string;
  warnings?: string[];
}

export function SecretRow({ shown, onDone }: { shown: Shown; onDone: () => void }) {
  return (
    <div role="status" className="rounded-lg border border-warn-mark/50 bg-warn-soft px-3 py-2.5 animate-fade">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <KeyRound className="size-4 shrink-0 text-warn" aria-hidden />
        <p className="text-sm text-warn">
          <b className="font-semibold">{shown.isPublic ? "Public key." : "Signing secret."}</b>{" "}
          {shown.isPublic ? "Receivers verify with it. It stays in the connection's settings." : "Copy it now: it is shown this once."}
        </p>
      </div>
      <div className="mt-2 flex items-center gap-2">
        <code data-testid="secret" className="foreign min-w-0 flex-1 rounded-md border border-line bg-surface px-2 py-1 font-mono text-xs select-all">
          {shown.text}
        </code>
        <Copy text={shown.text} label={shown.isPublic ? "Copy the key" : "Copy the secret"} isLabelled />
        <Button size="sm" look="quiet" onClick={onDone}>
          Done
        </Button>
      </div>
      {shown.warnings?.map((warning) => (
        <p key={warning} className="foreign mt-2 text-xs text-warn">
          {warning}
        </p>
      ))}
    </div>
  );
}
