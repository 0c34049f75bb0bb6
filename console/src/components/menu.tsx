// A menu that opens from a button.
import * as Radix from "@radix-ui/react-dropdown-menu";
import type { ReactNode } from "react";

import { classes } from "@/lib/classes";

export interface MenuItem {
  label: ReactNode;
  icon?: ReactNode;
  onSelect: () => void;
  isDangerous?: boolean;
  isDisabled?: boolean;
  isChosen?: boolean;
}

export function Menu({ trigger, items, label, align = "end" }: { trigger: ReactNode; items: (MenuItem | "line")[]; label?: string; align?: "start" | "end" }) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          align={align}
          sideOffset={6}
          aria-label={label}
          className="z-50 max-h-80 max-w-80 min-w-44 overflow-y-auto rounded-xl border border-line bg-surface p-1 shadow-float animate-rise"
        >
          {items.map((item, at) =>
            item === "line" ? (
              <Radix.Separator key={at} className="my-1 h-px bg-line" />
            ) : (
              <Radix.Item
                key={at}
                disabled={item.isDisabled}
                onSelect={item.onSelect}
                className={classes(
                  "flex cursor-pointer items-center gap-2 rounded-md px-2 py-1.5 text-sm outline-none select-none data-[disabled]:opacity-50 data-[highlighted]:bg-raised",
                  item.isDangerous && "text-bad",
                  item.isChosen && "font-medium text-accent-ink",
                )}
              >
                {item.icon && <span className="shrink-0 [&>svg]:size-3.5">{item.icon}</span>}
                <span className="foreign min-w-0">{item.label}</span>
              </Radix.Item>
            ),
          )}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
