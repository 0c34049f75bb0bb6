// Short messages at the corner: read out, gone by themselves, and what went wrong stays longer.
import * as Radix from "@radix-ui/react-toast";
import { CircleAlert, CircleCheck, Info, X } from "lucide-react";
import { createContext, use, useCallback, useMemo, useState, type ReactNode } from "react";

import { sentence } from "@/api/errors";

type Kind = "good" | "bad" | "info";
interface Message {
  id: number;
  kind: Kind;
  title: string;
  more?: ReactNode;
}
interface Toasts {
  good: (title: string, more?: ReactNode) => void;
  info: (title: string, more?: ReactNode) => void;
  /** Shows the sentence of whatever was thrown. */
  bad: (title: string, error?: unknown) => void;
}

const Context = createContext<Toasts | null>(null);

export function useToast(): Toasts {
  const toasts = use(Context);
  if (!toasts) throw new Error("outside of a ToastProvider");
  return toasts;
}

const ICONS: Record<Kind, ReactNode> = {
  good: <CircleCheck className="mt-0.5 size-4 shrink-0 text-good" aria-hidden />,
  bad: <CircleAlert className="mt-0.5 size-4 shrink-0 text-bad" aria-hidden />,
  info: <Info className="mt-0.5 size-4 shrink-0 text-info" aria-hidden />,
};

let lastId = 0;

export function ToastProvider({ children }: { children: ReactNode }) {
  const [messages, setMessages] = useState<Message[]>([]);
  const show = useCallback((kind: Kind, title: string, more?: ReactNode) => {
    lastId += 1;
    const message = { id: lastId, kind, title, more };
    setMessages((now) => [...now.slice(-3), message]);
  }, []);
  const toasts = useMemo<Toasts>(
    () => ({
      good: (title, more) => show("good", title, more),
      info: (title, more) => show("info", title, more),
      bad: (title, error) => show("bad", title, error === undefined ? undefined : sentence(error)),
    }),
    [show],
  );
  return (
    <Context value={toasts}>
      <Radix.Provider swipeDirection="right" label="Message">
        {children}
        {messages.map((message) => (
          <Radix.Root
            key={message.id}
            duration={message.kind === "bad" ? 12_000 : 6_000}
            type={message.kind === "bad" ? "foreground" : "background"}
            onOpenChange={(open) => !open && setMessages((now) => now.filter((one) => one.id !== message.id))}
            className="flex items-start gap-2.5 rounded-xl border border-line bg-surface px-4 py-3 shadow-float animate-rise"
          >
            {ICONS[message.kind]}
            <div className="min-w-0 flex-1">
              <Radix.Title className="foreign text-sm font-medium">{message.title}</Radix.Title>
              {message.more && <Radix.Description className="foreign mt-0.5 text-sm text-muted">{message.more}</Radix.Description>}
            </div>
            <Radix.Close aria-label="Close the message" className="rounded p-0.5 text-muted hover:text-ink">
              <X className="size-3.5" aria-hidden />
            </Radix.Close>
          </Radix.Root>
        ))}
        <Radix.Viewport className="fixed right-4 bottom-4 z-[60] flex w-[min(24rem,calc(100vw-2rem))] flex-col gap-2 outline-none" />
      </Radix.Provider>
    </Context>
  );
}
