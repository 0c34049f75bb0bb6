// The signature of a request, step by step. The secret is typed here, used here, and goes nowhere.
import { CircleCheck, CircleX, Eye, EyeOff, Lock } from "lucide-react";
import { useState, type FormEvent, type ReactNode } from "react";

import type { SentRequest } from "@/api/shapes";
import { Button, IconButton } from "@/components/button";
import { Code } from "@/components/code";
import { Field } from "@/components/field";
import { sentence } from "@/api/errors";
import { instant } from "@/lib/format";
import { byteLength, bytes } from "@/lib/text";
import { canCompute, checkSignatures, signatureParts, signedAt, type Check } from "@/lib/signature";

export function Signature({ request }: { request: SentRequest }) {
  const signed = { ...request, body: request.body ?? null };
  const parts = signatureParts(signed);
  const at = signedAt(parts);
  const [checks, setChecks] = useState<Check[]>([]);
  return (
    <div className="space-y-5">
      <ol className="space-y-4">
        <Step number={1} title="Take what is signed">
          {parts.signedContent === null ? (
            <p>The raw bytes of the body.</p>
          ) : (
            <>
              <p>
                The id, the time and the raw bytes of the body, joined by dots:{" "}
                <code className="font-mono text-xs">{"webhook-id.webhook-timestamp.body"}</code>
                {at && <> – signed at {instant(at)}</>}. <code className="font-mono text-xs">X-Deptex-Signature</code> covers the
                body alone.
              </p>
              <Code text={preview(parts.signedContent)} label="The signed content" isRaw className="mt-2 max-h-40" />
            </>
          )}
        </Step>
        <Step number={2} title="Take the key">
          <p>
            For <code className="font-mono text-xs">webhook-signature</code>: what follows <code className="font-mono text-xs">whsec_</code>, read as
            base64. For <code className="font-mono text-xs">X-Deptex-Signature</code>: the whole text of the secret.
          </p>
          <SecretForm onCheck={(secret) => checkSignatures(signed, secret).then(setChecks)} onForget={() => setChecks([])} />
        </Step>
        <Step number={3} title="Compute HMAC-SHA256, and compare with what was sent">
          {checks.length === 0 ? <Sent parts={parts} /> : checks.map((check) => <Outcome key={check.scheme} check={check} />)}
        </Step>
      </ol>
    </div>
  );
}

/** The end of a long body says nothing that its beginning does not. */
function preview(content: string): string {
  return content.length <= 2_000 ? content : `${content.slice(0, 2_000)}… (${bytes(byteLength(content))} in all)`;
}

function Step({ number, title, children }: { number: number; title: string; children: ReactNode }) {
  return (
    <li className="flex gap-3">
      <span aria-hidden className="grid size-6 shrink-0 place-items-center rounded-full bg-raised text-xs font-semibold text-muted">
        {number}
      </span>
      <div className="min-w-0 flex-1 text-sm text-muted">
        <h4 className="mb-1 font-medium text-ink">{title}</h4>
        {children}
      </div>
    </li>
  );
}

function SecretForm({ onCheck, onForget }: { onCheck: (secret: string) => Promise<void>; onForget: () => void }) {
  const [secret, setSecret] = useState("");
  const [isShown, setShown] = useState(false);
  const [mistake, setMistake] = useState<string | null>(null);
  if (!canCompute()) return <p className="mt-2 text-warn">Browsers compute signatures on https pages and on localhost only.</p>;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setMistake(null);
    onCheck(secret).catch((error: unknown) => setMistake(sentence(error)));
  };
  return (
    <form onSubmit={submit} className="mt-3 max-w-xl">
      <div className="flex items-start gap-2">
        <Field
          className="flex-1"
          label="Paste the connection’s secret, or its public key"
          isLabelHidden
          placeholder="whsec_… or whpk_…"
          type={isShown ? "text" : "password"}
          value={secret}
          mistake={mistake}
          // Password managers must neither offer nor keep it.
          autoComplete="off"
          data-1p-ignore
          data-lpignore="true"
          spellCheck={false}
          onChange={(event) => {
            setSecret(event.target.value);
            setMistake(null);
            onForget();
          }}
        />
        <IconButton
          label={isShown ? "Hide the secret" : "Show the secret"}
          size="md"
          icon={isShown ? <EyeOff className="size-4" aria-hidden /> : <Eye className="size-4" aria-hidden />}
          onClick={() => setShown(!isShown)}
        />
        <Button type="submit" look="primary" disabled={secret.trim() === ""}>
          Verify
        </Button>
      </div>
      <p className="mt-1.5 flex items-center gap-1.5 text-xs text-faint">
        <Lock className="size-3 shrink-0" aria-hidden /> It stays in this page: it is neither sent nor stored.
      </p>
    </form>
  );
}

function Sent({ parts }: { parts: ReturnType<typeof signatureParts> }) {
  return (
    <dl className="space-y-1.5">
      {parts.standard.length > 0 && (
        <Value name="webhook-signature" value={parts.standard.map((one) => `${one.version},${one.value}`).join(" ")} />
      )}
      {parts.deptex && <Value name="X-Deptex-Signature" value={parts.deptex} />}
    </dl>
  );
}

const NAMES: Record<Check["scheme"], string> = {
  standard: "webhook-signature",
  deptex: "X-Deptex-Signature",
  key_pair: "webhook-signature (key pair)",
};

function Outcome({ check }: { check: Check }) {
  return (
    <div className="mt-2 rounded-lg border border-line p-3 first:mt-0">
      <p role="status" className="flex items-center gap-2 text-sm font-medium">
        {check.matches ? (
          <CircleCheck className="size-4 shrink-0 text-good" aria-hidden />
        ) : (
          <CircleX className="size-4 shrink-0 text-bad" aria-hidden />
        )}
        <span className={check.matches ? "text-good" : "text-bad"}>
          {NAMES[check.scheme]} {check.matches ? "verifies" : "does not verify with this secret"}
        </span>
      </p>
      <dl className="mt-2 space-y-1.5">
        <Value name="Key" value={check.keyShown} more={check.keyNote} />
        {check.hex && <Value name="HMAC, hexadecimal" value={check.hex} />}
        {check.base64 && <Value name="HMAC, base64" value={check.base64} />}
        {check.expected && <Value name="Expected" value={check.expected} />}
        <Value name="Sent" value={check.sent.join(" ")} />
      </dl>
    </div>
  );
}

function Value({ name, value, more }: { name: string; value: string; more?: string }) {
  return (
    <div className="grid grid-cols-[9.5rem_1fr] gap-3 text-xs max-sm:grid-cols-1 max-sm:gap-0">
      <dt className="text-muted">{name}</dt>
      <dd className="foreign font-mono text-ink">
        {value}
        {more && <span className="block font-sans text-faint">{more}</span>}
      </dd>
    </div>
  );
}
