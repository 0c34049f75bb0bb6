// Which address shows which page. Each feature lists its own pages in its `routes.ts`; they are loaded when first needed.
import { createBrowserRouter, Navigate, Outlet, ScrollRestoration, useLocation, useParams, useRouteError } from "react-router";

import { routes as connections } from "@/features/connections/routes";
import { routes as deliveries } from "@/features/deliveries/routes";
import { routes as events } from "@/features/events/routes";
import { routes as integrations } from "@/features/integrations/routes";
import { routes as overview } from "@/features/overview/routes";
import { routes as replays } from "@/features/replays/routes";
import { EmptyState, ErrorState, Skeleton } from "@/components/states";
import { useSession } from "./session";
import { Shell } from "./shell";
import { SignIn } from "./sign-in";
import { Start } from "./start";

function Gate() {
  const { isReady, claims } = useSession();
  if (!isReady) return <Skeleton className="mx-auto max-w-md pt-24" />;
  if (!claims) return <SignIn />;
  return (
    <>
      <Outlet />
      <ScrollRestoration />
    </>
  );
}

/** The addresses that providers send people back to, as the Deptex frontend has them. */
function ToIntegrations() {
  const { org } = useParams();
  const { search } = useLocation();
  return <Navigate replace to={`/organizations/${org}/integrations${search}`} />;
}

function Nothing() {
  return <EmptyState title="There is nothing at this address">The menu leads to all that there is.</EmptyState>;
}

function Failed() {
  return <ErrorState error={useRouteError()} onRetry={() => window.location.reload()} />;
}

export const router = createBrowserRouter(
  [
    {
      Component: Gate,
      ErrorBoundary: Failed,
      HydrateFallback: Skeleton,
      children: [
        { index: true, Component: Start },
        {
          path: "organizations/:org",
          Component: Shell,
          children: [
            {
              ErrorBoundary: Failed,
              children: [
                ...overview,
                ...integrations,
                ...connections,
                ...deliveries,
                ...events,
                ...replays,
                { path: "settings/integrations", Component: ToIntegrations },
                { path: "settings", Component: ToIntegrations },
                { path: "teams/:team/settings/notifications", Component: ToIntegrations },
                { path: "projects/:project/settings", Component: ToIntegrations },
                { path: "projects/:project/settings/notifications", Component: ToIntegrations },
                { path: "*", Component: Nothing },
              ],
            },
          ],
        },
        { path: "*", Component: Start },
      ],
    },
  ],
  { basename: "/console" },
);
