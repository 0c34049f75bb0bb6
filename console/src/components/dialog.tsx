// Dialogs in the middle of the page and drawers at its side: the focus stays inside, Escape closes.
import * as Radix from "@radix-ui/react-dialog";
import { X } from "lucide-react";
import type { ReactNode } from "react";

import { classes } from "@/lib/classes";
import { Button, IconButton } from "./button";

interface Props {
  isOpen: boolean;
  onClose: () => void;
  title: ReactNode;
  /** A sentence below the title; read out with it. */
  about?: ReactNode;
  children: ReactNode;
  /** Stays at the bottom while the rest scrolls. */
  footer?: ReactNode;
}

const PANEL = "fixed z-50 flex flex-col bg-surface text-ink shadow-float border border-line outline-none";

function Panel({ isOpen, onClose, title, about, children, footer, className }: Props & { className: string }) {
  return (
    <Radix.Root open={isOpen} onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 bg-veil animate-fade" />
        <Radix.Content className={classes(PANEL, className)} {...(about ? {} : { "aria-describedby": undefined })}>
          <header className="flex items-start gap-3 border-b border-line px-5 py-4">
            <div className="min-w-0 flex-1">
              <Radix.Title className="foreign text-base font-semibold">{title}</Radix.Title>
              {about && <Radix.Description className="mt-0.5 text-sm text-muted">{about}</Radix.Description>}
            </div>
            <Radix.Close asChild>
              <IconButton label="Close" icon={<X className="size-4" aria-hidden />} className="-mr-1.5" />
            </Radix.Close>
          </header>
          <div className="min-h-0 flex-1 overflow-y-auto px-5 py-4" tabIndex={-1}>
            {children}
          </div>
          {footer && <footer className="flex items-center justify-end gap-2 border-t border-line px-5 py-3">{footer}</footer>}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export function Dialog({ isWide, ...rest }: Props & { isWide?: boolean }) {
  return (
    <Panel
      {...rest}
      className={classes(
        "inset-x-4 top-[8vh] mx-auto max-h-[84vh] rounded-xl animate-rise",
        isWide ? "max-w-3xl" : "max-w-lg",
      )}
    />
  );
}

/** From the right side, over the whole height. */
export function Drawer(props: Props) {
  return <Panel {...props} className="inset-y-0 right-0 w-full max-w-2xl border-y-0 border-r-0 animate-slide" />;
}

/** Asks before something that cannot be taken back. */
export function Confirm({ isOpen, onClose, title, about, action, isBusy, onConfirm, children }: {
  isOpen: boolean;
  onClose: () => void;
  title: ReactNode;
  about: ReactNode;
  /** What the button says: the deed itself, as `Remove`. */
  action: string;
  isBusy?: boolean;
  onConfirm: () => void;
  children?: ReactNode;
}) {
  const footer = (
    <>
      <Button onClick={onClose}>Cancel</Button>
      <Button look="danger" isBusy={isBusy} onClick={onConfirm}>
        {action}
      </Button>
    </>
  );
  return (
    <Dialog isOpen={isOpen} onClose={onClose} title={title} footer={footer}>
      <p className="text-sm text-muted">{about}</p>
      {children}
    </Dialog>
  );
}
