// Sends a test to a connection now, and says what came back.
import { FlaskConical } from "lucide-react";

import { useTestConnection } from "@/api/connections";
import { ApiError, sentence } from "@/api/errors";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { useToast } from "@/components/toast";

export function TestButton({ connection, size }: { connection: { id: string }; size?: "sm" | "md" }) {
  const { id: org } = useOrganization();
  const test = useTestConnection(org, connection.id);
  const toast = useToast();
  const send = () =>
    test.mutate(undefined, {
      onSuccess: (result) => {
        if (result.success) toast.good("The test arrived", result.message);
        else toast.bad("The test did not arrive", new Error(result.message));
      },
      onError: (error) => toast.bad(error instanceof ApiError && error.status === 504 ? "The test did not arrive" : "No test could be sent", new Error(sentence(error))),
    });
  return (
    <Button size={size} icon={<FlaskConical className="size-3.5" aria-hidden />} isBusy={test.isPending} onClick={send}>
      Send a test
    </Button>
  );
}
