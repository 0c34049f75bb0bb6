// Buttons, and links that look like them.
import type { ComponentPropsWithRef, MouseEvent, ReactNode } from "react";
import { LoaderCircle } from "lucide-react";
import { Link, type LinkProps } from "react-router";

import { classes } from "@/lib/classes";

type Look = "primary" | "plain" | "quiet" | "danger" | "danger-quiet";
type Size = "sm" | "md";

const LOOKS: Record<Look, string> = {
  primary: "bg-accent text-on-accent border-transparent hover:bg-accent-hover shadow-card",
  plain: "bg-surface text-ink border-line hover:bg-raised hover:border-line-strong/60 shadow-card",
  quiet: "border-transparent text-muted hover:bg-raised hover:text-ink",
  danger: "bg-[#c4252f] text-white border-transparent hover:bg-[#a81c26] shadow-card",
  "danger-quiet": "border-transparent text-bad hover:bg-bad-soft",
};
const SIZES: Record<Size, { all: string; text: string; icon: string }> = {
  sm: { all: "h-7 text-xs gap-1.5 rounded-md", text: "px-2.5", icon: "w-7" },
  md: { all: "h-8 text-sm gap-2 rounded-lg", text: "px-3", icon: "w-8" },
};

function look(kind: Look, size: Size, isIcon: boolean): string {
  return classes(
    "inline-flex shrink-0 items-center justify-center border font-medium whitespace-nowrap transition-colors select-none",
    "disabled:pointer-events-none disabled:opacity-55 aria-disabled:opacity-55 aria-busy:cursor-progress",
    SIZES[size].all,
    isIcon ? SIZES[size].icon : SIZES[size].text,
    LOOKS[kind],
  );
}

interface Common {
  look?: Look;
  size?: Size;
  icon?: ReactNode;
}

export interface ButtonProps extends ComponentPropsWithRef<"button">, Common {
  /** Shows that it is at work, and takes no second click. It keeps the focus, which a disabled one would throw away. */
  isBusy?: boolean;
}

export function Button({ look: kind = "plain", size = "md", icon, isBusy, children, className, disabled, type, onClick, ...rest }: ButtonProps) {
  // Also what Enter in a field sets off: the browser submits by this button's click.
  const drop = (event: MouseEvent) => {
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <button
      type={type ?? "button"}
      className={classes(look(kind, size, !children), className)}
      disabled={disabled && !isBusy}
      {...rest}
      {...(isBusy && { "aria-busy": true, "aria-disabled": true })}
      onClick={isBusy ? drop : onClick}
    >
      {isBusy ? <LoaderCircle className="size-3.5 animate-spin" aria-hidden /> : icon}
      {children}
    </button>
  );
}

/** A button that is only a picture: it needs a name. */
export function IconButton({ label, ...rest }: Omit<ButtonProps, "children" | "aria-label"> & { label: string; icon: ReactNode }) {
  return <Button look="quiet" size="sm" aria-label={label} title={label} {...rest} />;
}

export function LinkButton({ look: kind = "plain", size = "md", icon, children, className, ...rest }: LinkProps & Common) {
  return (
    <Link className={classes(look(kind, size, !children), className)} {...rest}>
      {icon}
      {children}
    </Link>
  );
}
