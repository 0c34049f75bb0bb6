// Answers that carry an event's data: beside the values its text, byte for byte, since JavaScript rounds long numbers.
import { memberText } from "@/lib/json-tree";
import { send } from "./client";

export type WithData<T> = T & {
  /** The text of `data`; null where the event is no longer kept. */
  dataText: string | null;
};

export async function readWithData<T>(address: string, signal?: AbortSignal): Promise<WithData<T>> {
  const response = await send(address, { signal });
  const text = await response.text();
  const data = memberText(text, "data");
  return { ...(JSON.parse(text) as T), dataText: data === "null" ? null : data };
}
