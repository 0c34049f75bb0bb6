// The front page: on to the organization that was open last, or the one there is; else it is asked for.
import { Navigate, useSearchParams } from "react-router";

import { LinkButton } from "@/components/button";
import { Logo } from "./logo";
import { nameOf, OrganizationForm, rememberedOrganization } from "./organization";
import { useSession } from "./session";
import { useNavigate } from "react-router";

export function Start() {
  const { claims, demoOrganization } = useSession();
  const [asked] = useSearchParams();
  const navigate = useNavigate();
  const known = claims?.organizations ?? [];
  const remembered = rememberedOrganization();
  const chosen = known.find((one) => one.id === remembered) ?? known.find((one) => one.id === demoOrganization) ?? (known.length === 1 ? known[0] : undefined);
  // A provider sends people here when it is not known whose consent it was: what it says is shown there.
  if (chosen) return <Navigate replace to={`/organizations/${chosen.id}${asked.has("error") ? "/integrations" : ""}${asked.size > 0 ? `?${asked}` : ""}`} />;
  return (
    <main className="mx-auto max-w-md px-4 py-20">
      <Logo />
      <h1 className="mt-8 text-xl font-semibold tracking-tight">Which organization?</h1>
      {known.length > 0 && (
        <ul className="mt-4 space-y-2">
          {known.map((one) => (
            <li key={one.id}>
              <LinkButton to={`/organizations/${one.id}`} className="w-full">
                {nameOf(one, demoOrganization)}
              </LinkButton>
            </li>
          ))}
        </ul>
      )}
      <div className="mt-6">
        <OrganizationForm onChosen={(id) => void navigate(`/organizations/${id}`)} />
      </div>
    </main>
  );
}
