// Connecting: being sent to a provider, giving an address and a token, and custom webhooks with their secrets.
import { useMutation } from "@tanstack/react-query";

import type { Provider } from "./catalogue";
import { call, fill, request, type Schema } from "./client";
import { useForgetConnections } from "./connections";

/** Leaves for the provider's page, where the admin agrees. */
export function useInstall(org: string) {
  return useMutation({
    mutationFn: (provider: string) =>
      call("get", "/api/integrations/{provider}/install", { path: { provider }, query: { org_id: org } }),
    onSuccess: ({ redirectUrl }) => window.location.assign(redirectUrl),
  });
}

/** Links a server with what its form asks for. */
export function useConnectWithFields(org: string, provider: Provider) {
  const forget = useForgetConnections(org);
  return useMutation({
    mutationFn: (fields: Record<string, string>) =>
      request<unknown>("post", fill(provider.path, { org }), { body: { org_id: org, ...fields } }),
    onSuccess: forget,
  });
}

export type NewCustom = Schema<"NewCustomBody">;
export type CustomChange = Schema<"CustomChangeBody">;

export function useCreateCustom(org: string) {
  const forget = useForgetConnections(org);
  return useMutation({
    mutationFn: (body: NewCustom) =>
      call("post", "/api/integrations/organizations/{org}/custom-integrations", { path: { org }, body }),
    onSuccess: forget,
  });
}

/** Where a connection's own routes are: those of the organization, or of the team or project that it serves. */
function home(org: string, of: { team_id?: string | null; project_id?: string | null }): string {
  if (of.team_id) return `/api/organizations/${org}/teams/${of.team_id}`;
  if (of.project_id) return `/api/organizations/${org}/projects/${of.project_id}`;
  return `/api/integrations/organizations/${org}`;
}

export function useChangeCustom(org: string, of: { id: string; team_id?: string | null; project_id?: string | null }) {
  const forget = useForgetConnections(org);
  return useMutation({
    mutationFn: (body: CustomChange) =>
      request<Schema<"CustomChanged">>("put", `${home(org, of)}/custom-integrations/${of.id}`, { body }),
    onSuccess: forget,
  });
}

export function useUploadIcon(org: string) {
  return useMutation({
    mutationFn: (file: File) =>
      request<Schema<"IconUploaded">>("post", `/api/integrations/organizations/${org}/custom-integrations/upload-icon`, { body: file }),
  });
}
