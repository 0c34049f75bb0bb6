// Where the console begins.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router/dom";

import { ApiError } from "@/api/errors";
import { router } from "@/app/router";
import { SessionProvider } from "@/app/session";
import { TipProvider } from "@/components/tip";
import { ToastProvider } from "@/components/toast";
import "./styles.css";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // What is refused stays refused; what did not come through is asked for again.
      retry: (failures, error) => failures < 2 && error instanceof ApiError && error.isTransient && error.status !== 429,
    },
  },
});

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <SessionProvider>
        <ToastProvider>
          <TipProvider delayDuration={300}>
            <RouterProvider router={router} />
          </TipProvider>
        </ToastProvider>
      </SessionProvider>
    </QueryClientProvider>
  </StrictMode>,
);
