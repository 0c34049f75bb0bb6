// The pages of this feature, below an organization.
import type { RouteObject } from "react-router";

export const routes: RouteObject[] = [{ path: "integrations", lazy: () => import("./page") }];
