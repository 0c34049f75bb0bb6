// A word of explanation beside what it explains; for the keyboard as for the mouse.
import * as Radix from "@radix-ui/react-tooltip";
import type { ReactNode } from "react";

export const TipProvider = Radix.Provider;

export function Tip({ text, children }: { text: ReactNode; children: ReactNode }) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content sideOffset={6} collisionPadding={8} className="foreign z-[70] max-w-72 rounded-lg bg-ink px-2.5 py-1.5 text-xs text-canvas shadow-float animate-fade">
          {text}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
