// What is around every page: the menu, the organization, the theme, and a way past them for the keyboard.
import { Activity, History, LogOut, Menu as MenuIcon, Plug, Send, X, Zap } from "lucide-react";
import { Suspense, useEffect, useMemo, useRef, useState } from "react";
import { NavLink, Outlet, useLocation, useParams } from "react-router";

import { IconButton } from "@/components/button";
import { ErrorState, Skeleton } from "@/components/states";
import { classes } from "@/lib/classes";
import { isUuid } from "@/lib/token";
import { Logo } from "./logo";
import { OrganizationContext, OrganizationSwitch, rememberOrganization } from "./organization";
import { useSession } from "./session";
import { ThemeSwitch } from "./theme";

const PAGES = [
  { to: "", label: "Overview", icon: Activity },
  { to: "integrations", label: "Integrations", icon: Plug },
  { to: "deliveries", label: "Deliveries", icon: Send },
  { to: "events", label: "Events", icon: Zap },
  { to: "replays", label: "Replays", icon: History },
];

export function Shell() {
  const { org = "" } = useParams();
  const { claims } = useSession();
  const [isOpen, setOpen] = useState(false);
  const { pathname } = useLocation();
  useEffect(() => setOpen(false), [pathname]);
  const main = useFocusOnNewPage(pathname);
  useEffect(() => {
    if (isUuid(org)) rememberOrganization(org);
  }, [org]);
  const current = useMemo(() => {
    const known = claims?.organizations.find((one) => one.id === org);
    // A token without memberships says nothing: then the API's own refusal is shown.
    return { id: org, mayManage: known ? known.mayManage : claims?.organizations.length === 0 };
  }, [claims, org]);
  if (!isUuid(org)) return <ErrorState error={new Error("There is no such organization.")} />;
  return (
    <OrganizationContext value={current}>
      <a href="#main" className="sr-only z-50 rounded-lg bg-accent px-3 py-2 text-on-accent focus:not-sr-only focus:fixed focus:top-3 focus:left-3">
        Skip to the content
      </a>
      <div className="min-h-screen lg:pl-60">
        <div className="sticky top-0 z-20 flex items-center gap-3 border-b border-line bg-surface px-4 py-2 lg:hidden">
          <IconButton label={isOpen ? "Close the menu" : "Open the menu"} aria-expanded={isOpen} icon={isOpen ? <X className="size-4" aria-hidden /> : <MenuIcon className="size-4" aria-hidden />} onClick={() => setOpen(!isOpen)} />
          <Logo />
        </div>
        <aside
          aria-label="Menu"
          className={classes("fixed inset-y-0 left-0 z-30 flex w-60 flex-col border-r border-line bg-surface max-lg:top-11", !isOpen && "max-lg:hidden", isOpen && "max-lg:shadow-float")}
        >
          <div className="px-4 pt-5 pb-4 max-lg:hidden">
            <Logo />
          </div>
          <div className="px-3 max-lg:pt-3">
            <OrganizationSwitch current={org} />
          </div>
          <nav aria-label="Pages" className="mt-4 flex-1 space-y-0.5 overflow-y-auto px-3">
            {PAGES.map(({ to, label, icon: Icon }) => (
              <NavLink
                key={to}
                to={`/organizations/${org}${to && `/${to}`}`}
                end={to === ""}
                className={({ isActive }) =>
                  classes(
                    "flex items-center gap-2.5 rounded-lg px-2.5 py-1.5 text-sm font-medium transition-colors",
                    isActive || (to === "integrations" && pathname.includes("/connections/")) ? "bg-accent-soft text-accent-ink" : "text-muted hover:bg-raised hover:text-ink",
                  )
                }
              >
                <Icon className="size-4" aria-hidden />
                {label}
              </NavLink>
            ))}
          </nav>
          <Account />
        </aside>
        <main ref={main} id="main" tabIndex={-1} className="outline-none">
          <Suspense fallback={<Skeleton />}>
            <Outlet key={org} />
          </Suspense>
        </main>
      </div>
    </OrganizationContext>
  );
}

/** Whoever goes on by keyboard or by ear goes on in the new page, not where the old one was left. */
function useFocusOnNewPage(pathname: string) {
  const main = useRef<HTMLElement>(null);
  const shown = useRef(pathname);
  useEffect(() => {
    if (shown.current === pathname) return;
    shown.current = pathname;
    main.current?.focus({ preventScroll: true });
  }, [pathname]);
  return main;
}

function Account() {
  const { claims, signOut } = useSession();
  return (
    <div className="flex items-center gap-1 border-t border-line px-3 py-2.5">
      <span className="foreign min-w-0 flex-1 truncate px-1 text-xs text-muted" title={claims?.email ?? undefined}>
        {claims?.email ?? "Signed in"}
      </span>
      <ThemeSwitch />
      <IconButton label="Sign out" icon={<LogOut className="size-4" aria-hidden />} onClick={signOut} />
    </div>
  );
}
