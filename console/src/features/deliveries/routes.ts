// The pages of this feature, below an organization.
import type { RouteObject } from "react-router";

export const routes: RouteObject[] = [
  { path: "deliveries", lazy: () => import("./page") },
  { path: "deliveries/:id", lazy: () => import("./detail") },
];
