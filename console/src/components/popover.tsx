// A small panel that opens from a button: Escape and a click elsewhere close it.
import * as Radix from "@radix-ui/react-popover";
import type { ReactNode } from "react";

export function Popover({ trigger, label, children, isOpen, onOpenChange }: {
  trigger: ReactNode;
  label: string;
  children: ReactNode;
  isOpen: boolean;
  onOpenChange: (isOpen: boolean) => void;
}) {
  return (
    <Radix.Root open={isOpen} onOpenChange={onOpenChange}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          align="start"
          sideOffset={6}
          collisionPadding={12}
          aria-label={label}
          className="z-50 w-72 rounded-xl border border-line bg-surface shadow-float outline-none animate-rise"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
