// How the organization's deliveries are doing, at a glance.
import { queryOptions } from "@tanstack/react-query";

import { call } from "./client";
import { keys } from "./keys";

export function overview(org: string) {
  return queryOptions({
    queryKey: keys.overview(org),
    queryFn: ({ signal }) => call("get", "/api/organizations/{org}/overview", { path: { org }, signal }),
    refetchInterval: 15_000,
  });
}
