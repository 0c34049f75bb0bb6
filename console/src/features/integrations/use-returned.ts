// Tells how it went to somebody who comes back from a provider's page, once.
import { useEffect, useRef } from "react";
import { useSearchParams } from "react-router";

import { useProviderLabel } from "@/api/catalogue";
import { useForgetConnections } from "@/api/connections";
import { useToast } from "@/components/toast";

/** Of the sentences that an address may bring, how much is shown: anybody can make up an address. */
const MESSAGE_MAX = 200;

export function useReturned(org: string, isReady: boolean) {
  const [address, setAddress] = useSearchParams();
  const toast = useToast();
  const label = useProviderLabel();
  const forget = useForgetConnections(org);
  const told = useRef<string | null>(null);
  const connected = address.get("connected");
  const error = address.get("error");
  const message = address.get("message");
  useEffect(() => {
    const now = `${connected}|${error}|${message}`;
    if (!isReady || (!connected && !error) || told.current === now) return;
    told.current = now;
    if (connected) {
      toast.good(`${label(connected.slice(0, 40))} is connected`);
      void forget();
    } else if (error) {
      toast.bad(`${label(error.slice(0, 40))} is not connected`, message ? new Error(message.slice(0, MESSAGE_MAX)) : undefined);
    }
    setAddress(
      (asked) => {
        const rest = new URLSearchParams(asked);
        for (const name of ["connected", "error", "message", "section"]) rest.delete(name);
        return rest;
      },
      { replace: true, preventScrollReset: true },
    );
  }, [connected, error, message, isReady, toast, label, forget, setAddress]);
}
