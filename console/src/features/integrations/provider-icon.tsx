// A mark for each provider: plain shapes and letters of our own, nobody's trademark. A custom icon takes its place.
import type { ReactNode } from "react";

import { ownIcon } from "@/lib/own-icon";
import { classes } from "@/lib/classes";

interface Mark {
  colour: string;
  drawing: ReactNode;
}

const line = { fill: "none", stroke: "currentColor", strokeWidth: 2, strokeLinecap: "round", strokeLinejoin: "round" } as const;

const MARKS: Record<string, Mark> = {
  github: { colour: "bg-[#24292f]", drawing: <><circle cx="8" cy="7" r="2" {...line} /><circle cx="8" cy="17" r="2" {...line} /><circle cx="16" cy="9" r="2" {...line} /><path d="M8 9v6m8-4c0 2.5-4 2-6.5 4.5" {...line} /></> },
  gitlab: { colour: "bg-[#c2410c]", drawing: <path d="M12 18 6 12l2-5 2 4h4l2-4 2 5z" {...line} /> },
  bitbucket: { colour: "bg-[#1d4ed8]", drawing: <path d="M6 7h12l-1.6 10H7.6zM9.5 10.5h5l-.7 3.5h-3.6z" {...line} /> },
  slack: { colour: "bg-[#6b2a6e]", drawing: <path d="M9.5 6 8.5 18M15.5 6l-1 12M6.5 10h12M5.5 14h12" {...line} /> },
  discord: { colour: "bg-[#4a54c8]", drawing: <><path d="M6 8.5C7 7.5 9 7 12 7s5 .5 6 1.5v6c0 1.5-1.5 2.5-3 2.5H9c-1.5 0-3-1-3-2.5z" {...line} /><path d="M9.8 12v.2m4.4-.2v.2" {...line} strokeWidth={2.6} /></> },
  jira: { colour: "bg-[#1559b7]", drawing: <path d="M12 5l7 7-7 7-7-7zm0 4.5L14.5 12 12 14.5 9.5 12z" {...line} /> },
  jira_data_center: { colour: "bg-[#1e3a5f]", drawing: <><rect x="6" y="6" width="12" height="5" rx="1.5" {...line} /><rect x="6" y="13" width="12" height="5" rx="1.5" {...line} /><path d="M9 8.5h.01M9 15.5h.01" {...line} /></> },
  linear: { colour: "bg-[#4b46b8]", drawing: <path d="M6 14.5 9.5 18M6 10l8 8M8 6.5 17.5 16M13 6l5 5" {...line} /> },
  asana: { colour: "bg-[#b3355a]", drawing: <><circle cx="12" cy="8" r="2.5" {...line} /><circle cx="7.5" cy="15.5" r="2.5" {...line} /><circle cx="16.5" cy="15.5" r="2.5" {...line} /></> },
};
const WEBHOOK: Mark = {
  colour: "bg-[#0f6b5c]",
  drawing: <><circle cx="12" cy="7.5" r="2.2" {...line} /><circle cx="7" cy="16" r="2.2" {...line} /><circle cx="17" cy="16" r="2.2" {...line} /><path d="m11 9.5-3 4.5m5-4.5 3 4.5m-6.8 2h5.6" {...line} /></>,
};

const SIZES = { sm: "size-5 rounded", md: "size-7 rounded-md", lg: "size-10 rounded-lg" };

export function ProviderIcon({ provider, iconUrl, size = "md" }: { provider: string; iconUrl?: unknown; size?: keyof typeof SIZES }) {
  const own = ownIcon(iconUrl);
  if (own) return <img src={own} alt="" className={classes(SIZES[size], "shrink-0 bg-raised object-cover")} />;
  const mark = MARKS[provider] ?? WEBHOOK;
  return (
    <span aria-hidden className={classes(SIZES[size], mark.colour, "grid shrink-0 place-items-center text-white")}>
      <svg viewBox="0 0 24 24" className="size-[72%]">
        {mark.drawing}
      </svg>
    </span>
  );
}
