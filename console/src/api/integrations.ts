// Connecting: being sent to a provider, giving an address and a token, and custom webhooks with their secrets.
import { useMutation } from "@tanstack/react-query";

import type { Provider } from "./catalogue";
import { call, fill, request, type Schema } from "./client";
import { home, useForgetConnections, type Home } from "./connections";

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
    // The fields hold access tokens: they are not kept.
    gcTime: 0,
    onSuccess: () => void forget(),
  });
}

export type NewCustom = Schema<"NewCustomBody">;
export type CustomChange = Schema<"CustomChangeBody">;

/** `onCreated` gets the secret even if the dialog that asked for it is closed by then: it is told only once. */
export function useCreateCustom(org: string, onCreated: (created: Schema<"CustomCreated">, asked: NewCustom) => void) {
  const forget = useForgetConnections(org);
  return useMutation({
    mutationFn: (body: NewCustom) =>
      call("post", "/api/integrations/organizations/{org}/custom-integrations", { path: { org }, body }),
    gcTime: 0,
    onSuccess: (created, asked) => {
      onCreated(created, asked);
      void forget();
    },
  });
}

/** `onChanged` gets a new secret even if the dialog that asked for it is closed by then. */
export function useChangeCustom(org: string, of: { id: string } & Home, onChanged: (changed: Schema<"CustomChanged">) => void) {
  const forget = useForgetConnections(org);
  return useMutation({
    mutationFn: (body: CustomChange) =>
      request<Schema<"CustomChanged">>("put", `${home(org, of)}/custom-integrations/${of.id}`, { body }),
    gcTime: 0,
    onSuccess: (changed) => {
      onChanged(changed);
      void forget();
    },
  });
}

export function useUploadIcon(org: string) {
  return useMutation({
    mutationFn: (file: File) =>
      request<Schema<"IconUploaded">>("post", `/api/integrations/organizations/${org}/custom-integrations/upload-icon`, { body: file }),
  });
}
