// The pages of this feature, below an organization.
import type { RouteObject } from "react-router";

export const routes: RouteObject[] = [
  { path: "replays", lazy: () => import("./page") },
  { path: "replays/new", lazy: () => import("./new") },
  { path: "replays/:id", lazy: () => import("./detail") },
];
