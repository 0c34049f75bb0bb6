// Stands in for the package that Radix locks scrolling with: a mark on the page in place of a style sheet written into it, as our policy wants.
import { useEffect, type ComponentPropsWithoutRef, type ElementType, type Ref } from "react";

interface Props extends ComponentPropsWithoutRef<"div"> {
  as?: ElementType;
  enabled?: boolean;
  allowPinchZoom?: boolean;
  shards?: unknown[];
  ref?: Ref<HTMLElement>;
}

let held = 0;

export function RemoveScroll({ as: As = "div", enabled = true, allowPinchZoom: _, shards: __, ...rest }: Props) {
  useEffect(() => {
    if (!enabled) return;
    held += 1;
    document.documentElement.dataset.scrollLocked = "";
    return () => {
      held -= 1;
      if (held === 0) delete document.documentElement.dataset.scrollLocked;
    };
  }, [enabled]);
  return <As {...rest} />;
}
