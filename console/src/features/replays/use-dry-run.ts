// Asks what a replay would do, anew whenever its selection changes.
import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { useOrganization } from "@/app/organization";
import { keys } from "@/api/keys";
import { tryReplay } from "@/api/replays";
import type { Configuration, Selection } from "@/lib/replay";

export function useDryRun(selection: Selection, configuration: Configuration, isOn = true) {
  const { id: org } = useOrganization();
  return useQuery({
    queryKey: keys.dryRun(org, selection, configuration),
    queryFn: ({ signal }) => tryReplay(org, { selection, configuration }, signal),
    enabled: isOn,
    placeholderData: keepPreviousData,
    staleTime: 15_000,
  });
}
