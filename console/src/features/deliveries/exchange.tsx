// A request as it was sent, and the answer as it came: text only, whatever is in it.
import type { ReceivedResponse, SentRequest } from "@/api/shapes";
import { Badge } from "@/components/badge";
import { Code } from "@/components/code";
import { JsonView } from "@/components/json-view";
import { MASK } from "@/lib/curl";
import { byteLength, bytes } from "@/lib/text";
import { parseTree } from "@/lib/json-tree";
import { StatusCode } from "./cells";

export function RequestView({ request }: { request: SentRequest }) {
  return (
    <div className="space-y-4">
      <p className="foreign font-mono text-xs leading-5">
        <Badge className="mr-2 rounded-md font-mono">{request.method}</Badge>
        <bdi>{request.url}</bdi>
      </p>
      <Headers headers={request.headers} label="Headers of the request" />
      <Body text={request.body ?? null} label="Body of the request" isCut={request.body_is_truncated} />
    </div>
  );
}

export function ResponseView({ response }: { response: ReceivedResponse }) {
  return (
    <div className="space-y-4">
      <p>
        <StatusCode code={response.status} />
      </p>
      <Headers headers={response.headers} label="Headers of the answer" />
      <Body text={response.body ?? null} label="Body of the answer" isCut={false} />
    </div>
  );
}

function Headers({ headers, label }: { headers: string[][]; label: string }) {
  if (headers.length === 0) return <p className="text-sm text-muted">No headers.</p>;
  return (
    <div className="overflow-x-auto">
      <table aria-label={label} className="w-full table-fixed font-mono text-xs leading-5">
        <colgroup>
          <col className="w-56 max-sm:w-36" />
          <col />
        </colgroup>
        <tbody>
          {headers.map(([name = "", value = ""], at) => (
            <tr key={at} className="border-b border-line last:border-b-0">
              <th scope="row" className="foreign py-1 pr-4 text-left align-top font-normal text-muted">
                {name}
              </th>
              <td className="foreign py-1 align-top">
                {value.includes(MASK) ? <Hidden value={value} /> : <bdi>{value}</bdi>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Hidden({ value }: { value: string }) {
  return (
    <span title="Kept secret: Relay shows it to nobody" className="text-faint">
      <bdi>{value}</bdi> <span className="font-sans text-2xs">hidden</span>
    </span>
  );
}

function Body({ text, label, isCut }: { text: string | null; label: string; isCut: boolean }) {
  if (text === null || text === "") return <p className="text-sm text-muted">No body.</p>;
  return (
    <div>
      <p className="mb-1.5 text-xs text-muted">
        {label}, {bytes(byteLength(text))}
        {isCut && " kept of it: it was longer"}
      </p>
      {parseTree(text) ? <JsonView text={text} label={label} /> : <Code text={text} label={label} isRaw />}
    </div>
  );
}
