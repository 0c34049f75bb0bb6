// The mark of Relay with its name.

export function Logo() {
  return (
    <span className="flex items-center gap-2.5">
      <svg viewBox="0 0 32 32" className="size-7 shrink-0" aria-hidden>
        <rect width="32" height="32" rx="8" className="fill-accent" />
        <path d="M8 16h6m4 0 6-6m-6 6 6 6m-6-6h6" fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" />
        <circle cx="16" cy="16" r="3.2" fill="#fff" />
      </svg>
      <span className="text-sm leading-tight font-semibold tracking-tight">
        Deptex <span className="font-normal text-muted">Relay</span>
      </span>
    </span>
  );
}
