// Which organization the page is about: it stands in the address, and the last one is remembered.
import { Building2, ChevronsUpDown } from "lucide-react";
import { createContext, use, useState, type FormEvent } from "react";
import { useNavigate } from "react-router";

import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Field } from "@/components/field";
import { Menu } from "@/components/menu";
import { isUuid, type Organization } from "@/lib/token";
import { useSession } from "./session";

const KEPT_AS = "relay.organization";

export interface Current {
  id: string;
  /** Whether the token says that this person may change things. The API decides; this hides what it would refuse. */
  mayManage: boolean;
}

export const OrganizationContext = createContext<Current | null>(null);

/** The organization of this page. */
export function useOrganization(): Current {
  const current = use(OrganizationContext);
  if (!current) throw new Error("outside of an organization");
  return current;
}

/** The address of one of its pages: `useHref()("deliveries/…")`. */
export function useOrganizationPath(): (page?: string) => string {
  const { id } = useOrganization();
  return (page = "") => `/organizations/${id}${page && `/${page}`}`;
}

export function rememberOrganization(id: string) {
  try {
    localStorage.setItem(KEPT_AS, id);
  } catch {
    // Then it is chosen again next time.
  }
}

export function rememberedOrganization(): string | null {
  try {
    return localStorage.getItem(KEPT_AS);
  } catch {
    return null;
  }
}

export function nameOf(organization: Organization, demo: string | null): string {
  if (organization.name) return organization.name;
  return organization.id === demo ? "Demo organization" : `Organization ${organization.id.slice(0, 8)}`;
}

export function OrganizationSwitch({ current }: { current: string }) {
  const { claims, demoOrganization } = useSession();
  const [isTyping, setTyping] = useState(false);
  const navigate = useNavigate();
  const known = claims?.organizations ?? [];
  const chosen = known.find((one) => one.id === current) ?? { id: current, name: null, mayManage: true };
  const go = (id: string) => void navigate(`/organizations/${id}`);
  const trigger = (
    <button type="button" className="flex w-full items-center gap-2.5 rounded-lg border border-line bg-surface px-2.5 py-1.5 text-left shadow-card transition-colors hover:bg-raised">
      <span className="grid size-6 shrink-0 place-items-center rounded-md bg-accent-soft text-accent-ink">
        <Building2 className="size-3.5" aria-hidden />
      </span>
      <span className="min-w-0 flex-1">
        <span className="foreign block truncate text-sm font-medium">{nameOf(chosen, demoOrganization)}</span>
      </span>
      <ChevronsUpDown className="size-3.5 shrink-0 text-muted" aria-hidden />
      <span className="sr-only">Switch the organization</span>
    </button>
  );
  const items = known.map((one) => ({ label: nameOf(one, demoOrganization), isChosen: one.id === current, onSelect: () => go(one.id) }));
  return (
    <>
      <Menu align="start" label="Organizations" trigger={trigger} items={[...items, "line", { label: "Another organization…", onSelect: () => setTyping(true) }]} />
      <Dialog isOpen={isTyping} onClose={() => setTyping(false)} title="Go to another organization">
        <OrganizationForm
          onChosen={(id) => {
            setTyping(false);
            go(id);
          }}
        />
      </Dialog>
    </>
  );
}

export function OrganizationForm({ onChosen }: { onChosen: (id: string) => void }) {
  const [mistake, setMistake] = useState<string | null>(null);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const id = String(new FormData(event.currentTarget).get("organization") ?? "").trim();
    if (isUuid(id)) onChosen(id);
    else setMistake("This is not the id of an organization.");
  };
  return (
    <form onSubmit={submit} className="space-y-4">
      <Field label="The organization's id" name="organization" required autoComplete="off" mistake={mistake} placeholder="00000000-0000-0000-0000-000000000000" />
      <div className="flex justify-end">
        <Button look="primary" type="submit">
          Go there
        </Button>
      </div>
    </form>
  );
}
