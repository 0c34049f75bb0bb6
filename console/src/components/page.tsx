// The frame of every page: its title, what can be done there, and the name in the browser's tab.
import { ChevronRight } from "lucide-react";
import { useEffect, type ReactNode } from "react";
import { Link } from "react-router";

export function Page({ title, heading, about, actions, above, children }: {
  /** Plain text: it is the tab's name, and the heading unless `heading` says otherwise. */
  title: string;
  heading?: ReactNode;
  about?: ReactNode;
  actions?: ReactNode;
  /** The pages that this one is below of. */
  above?: { to: string; label: string }[];
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Deptex Relay`;
  }, [title]);
  return (
    <div className="mx-auto w-full max-w-7xl px-4 py-6 sm:px-8">
      {above && above.length > 0 && (
        <nav aria-label="Above" className="mb-2 flex items-center gap-1 text-xs text-muted">
          {above.map((page) => (
            <span key={page.to} className="flex items-center gap-1">
              <Link to={page.to} className="rounded hover:text-ink hover:underline">
                {page.label}
              </Link>
              <ChevronRight className="size-3" aria-hidden />
            </span>
          ))}
        </nav>
      )}
      <header className="mb-5 flex flex-wrap items-start gap-x-4 gap-y-3">
        <div className="min-w-0 flex-1">
          <h1 className="foreign text-xl font-semibold tracking-tight">{heading ?? title}</h1>
          {about && <div className="mt-1 max-w-3xl text-sm text-muted">{about}</div>}
        </div>
        {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </header>
      {children}
    </div>
  );
}
