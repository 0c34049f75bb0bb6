// The request as a command for a shell.
import { Copy } from "@/components/copy";
import { Code } from "@/components/code";
import type { SentRequest } from "@/api/shapes";
import { curlCommand, hiddenHeaders } from "@/lib/curl";

export function Reproduce({ request }: { request: SentRequest }) {
  const command = curlCommand({ ...request, body: request.body ?? null });
  const hidden = hiddenHeaders({ ...request, body: null });
  return (
    <div className="space-y-3">
      <div className="flex flex-wrap items-center gap-3">
        <p className="mr-auto text-sm text-muted">
          Sends the same bytes again, past Relay: no attempt is recorded, and receivers that remember ids may ignore it.
        </p>
        <Copy text={command} label="Copy the command" isLabelled />
      </div>
      <Code text={command} label="The command" isRaw />
      {request.body_is_truncated && <p className="text-xs text-warn">Only the beginning of the body is kept: the command sends no more than that.</p>}
      {hidden.length > 0 && (
        <p className="text-xs text-muted">
          Set first what Relay keeps secret:{" "}
          {hidden.map((name) => (
            <code key={name} className="mr-1.5 font-mono">
              {name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_")}
            </code>
          ))}
        </p>
      )}
    </div>
  );
}
