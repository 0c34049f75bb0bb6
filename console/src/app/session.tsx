// Who is signed in: a token kept for this tab, found in the Deptex frontend's session, given by `relay dev`, or pasted.
import { createContext, use, useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { useQueryClient } from "@tanstack/react-query";

import { credentials } from "@/api/client";
import { isFresh, readToken, renewalOf, type Claims } from "@/lib/token";

const KEPT_AS = "relay.token";

export interface Session {
  /** Null while it is not known yet, or nobody is signed in. */
  claims: Claims | null;
  isReady: boolean;
  /** Why there is no session any more. */
  ended: string | null;
  /** The organization that `relay dev` made. */
  demoOrganization: string | null;
  signIn: (token: string) => boolean;
  signOut: () => void;
}

const Context = createContext<Session | null>(null);

export function useSession(): Session {
  const session = use(Context);
  if (!session) throw new Error("outside of a SessionProvider");
  return session;
}

export function SessionProvider({ children }: { children: ReactNode }) {
  const queries = useQueryClient();
  const [claims, setClaims] = useState<Claims | null>(null);
  const [isReady, setReady] = useState(false);
  const [ended, setEnded] = useState<string | null>(null);
  const [demoOrganization, setDemo] = useState<string | null>(null);
  const renewing = useRef(false);

  const signIn = useCallback((token: string) => {
    const found = readToken(token);
    if (!found) return false;
    credentials.token = token.trim();
    keep(token.trim());
    setClaims(found);
    setEnded(null);
    return true;
  }, []);

  const forget = useCallback(
    (why: string | null) => {
      credentials.token = null;
      keep(null);
      setClaims(null);
      setEnded(why);
      queries.clear();
    },
    [queries],
  );

  useEffect(() => {
    const begin = async () => {
      const demo = await demoSession();
      if (demo) setDemo(demo.organization_id);
      for (const token of [kept(), supabaseToken(), demo?.token]) {
        if (token && isFresh(token, Date.now()) && signIn(token)) return;
      }
    };
    const renew = async (refused: string) => {
      const demo = await demoSession();
      // Meanwhile somebody may have signed out, or in.
      if (credentials.token !== refused) return;
      // Deptex renews its session by itself, so there may be a newer token by now.
      const newer = renewalOf(refused, [supabaseToken(), demo?.token], Date.now());
      if (newer && signIn(newer)) void queries.invalidateQueries();
      else forget("Your session has ended. Please sign in again.");
    };
    credentials.onUnauthorized = (refused) => {
      // A late answer says nothing of the token that has taken its place.
      if (renewing.current || refused === null || refused !== credentials.token) return;
      renewing.current = true;
      void renew(refused).finally(() => (renewing.current = false));
    };
    void begin().finally(() => setReady(true));
    return () => {
      credentials.onUnauthorized = () => {};
    };
  }, [forget, queries, signIn]);

  const session = useMemo<Session>(
    () => ({ claims, isReady, ended, demoOrganization, signIn, signOut: () => forget(null) }),
    [claims, isReady, ended, demoOrganization, signIn, forget],
  );
  return <Context value={session}>{children}</Context>;
}

function keep(token: string | null) {
  try {
    if (token) sessionStorage.setItem(KEPT_AS, token);
    else sessionStorage.removeItem(KEPT_AS);
  } catch {
    // Storage can be forbidden: the session then ends with the page.
  }
}

function kept(): string | null {
  try {
    return sessionStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}

/** The Deptex frontend's own session, where it lives on the same origin. */
function supabaseToken(): string | null {
  try {
    for (let at = 0; at < localStorage.length; at += 1) {
      const name = localStorage.key(at) ?? "";
      if (!/^sb-.+-auth-token$/.test(name)) continue;
      const value = JSON.parse(localStorage.getItem(name) ?? "null") as { access_token?: unknown } | null;
      if (typeof value?.access_token === "string") return value.access_token;
    }
  } catch {
    // Not a session that can be read.
  }
  return null;
}

/** What `relay dev` hands to a browser on the same machine; anywhere else there is nothing. */
async function demoSession(): Promise<{ token: string; organization_id: string } | null> {
  try {
    const response = await fetch("/console/session", { headers: { accept: "application/json" } });
    if (!response.ok) return null;
    const body = (await response.json()) as { token?: unknown; organization_id?: unknown };
    if (typeof body.token !== "string" || typeof body.organization_id !== "string") return null;
    return { token: body.token, organization_id: body.organization_id };
  } catch {
    return null;
  }
}
