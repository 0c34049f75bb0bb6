// Makes or changes one of the customer's own webhooks; its secret is made anew from here, too.
import { useState, type FormEvent } from "react";

import { sentence } from "@/api/errors";
import type { ConnectionSummary } from "@/api/connections";
import { useChangeCustom, useCreateCustom } from "@/api/integrations";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Field } from "@/components/field";
import { useToast } from "@/components/toast";
import { TestButton } from "@/features/connections/test-button";
import { destinationOf, iconUrlOf } from "@/lib/destination";
import { IconField } from "./icon-field";
import { Regenerate } from "./regenerate";
import type { Shown } from "./secret";

export type CustomWish =
  | { kind: "create"; category: "notification" | "ticketing" }
  | { kind: "edit"; connection: Pick<ConnectionSummary, "id" | "provider" | "display_name" | "destination" | "metadata" | "team_id" | "project_id"> };

interface Props {
  wish: CustomWish;
  onClose: () => void;
  onSecret: (id: string, shown: Shown) => void;
}

export function CustomDialog(props: Props) {
  const { wish, onClose } = props;
  const title = wish.kind === "create" ? `Add a custom ${wish.category === "ticketing" ? "ticketing" : "notification"} webhook` : "Edit the webhook";
  return (
    <Dialog isOpen onClose={onClose} title={title} about="Relay posts signed JSON to an address of yours.">
      {wish.kind === "create" ? <Create {...props} category={wish.category} /> : <Edit {...props} connection={wish.connection} />}
    </Dialog>
  );
}

interface Values {
  name: string;
  webhook_url: string;
  icon_url: string | null;
}

function Create({ category, onClose, onSecret }: Props & { category: "notification" | "ticketing" }) {
  const { id: org } = useOrganization();
  const toast = useToast();
  const provider = `custom_${category}`;
  const create = useCreateCustom(org, ({ id, secret, warnings }, { name }) => {
    toast.good(`${name} is connected`);
    onSecret(id, { text: secret, isPublic: false, provider, name, warnings });
  });
  const submit = ({ icon_url, ...values }: Values) =>
    create.mutate({ ...values, type: category, ...(icon_url ? { icon_url } : {}) }, { onSuccess: onClose });
  return <Form provider={provider} initial={{ name: "", webhook_url: "", icon_url: null }} action="Add" error={create.error} isBusy={create.isPending} onSubmit={submit} onClose={onClose} />;
}

function Edit({ connection, onClose, onSecret }: Props & { connection: (CustomWish & { kind: "edit" })["connection"] }) {
  const { id: org } = useOrganization();
  const toast = useToast();
  const change = useChangeCustom(org, connection, ({ warnings }) => toast.good("The change is saved", warnings?.join(" ")));
  const initial = { name: connection.display_name, webhook_url: destinationOf(connection) ?? "", icon_url: iconUrlOf(connection.metadata) };
  const submit = (values: Values) =>
    change.mutate(
      {
        ...(values.name === initial.name ? {} : { name: values.name }),
        ...(values.webhook_url === initial.webhook_url ? {} : { webhook_url: values.webhook_url }),
        ...(values.icon_url === initial.icon_url ? {} : { icon_url: values.icon_url }),
      },
      { onSuccess: onClose },
    );
  return (
    <>
      <Form provider={connection.provider} initial={initial} action="Save" error={change.error} isBusy={change.isPending} onSubmit={submit} onClose={onClose} extra={<TestButton connection={connection} />} />
      <Regenerate
        connection={connection}
        onSecret={(shown) => onSecret(connection.id, shown)}
        onDone={onClose}
      />
    </>
  );
}

function Form({ provider, initial, action, error, isBusy, onSubmit, onClose, extra }: {
  provider: string;
  initial: Values;
  action: string;
  error: unknown;
  isBusy: boolean;
  onSubmit: (values: Values) => void;
  onClose: () => void;
  extra?: React.ReactNode;
}) {
  const [values, setValues] = useState(initial);
  const set = (part: Partial<Values>) => setValues((now) => ({ ...now, ...part }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit({ ...values, name: values.name.trim(), webhook_url: values.webhook_url.trim() });
  };
  return (
    <form onSubmit={submit} className="space-y-4">
      <Field label="Name" required maxLength={100} autoComplete="off" value={values.name} onChange={(event) => set({ name: event.target.value })} />
      <Field
        label="Webhook URL"
        type="url"
        required
        autoComplete="off"
        placeholder="https://hooks.example.com/deptex"
        hint="An https address that can be reached from the internet."
        value={values.webhook_url}
        onChange={(event) => set({ webhook_url: event.target.value })}
      />
      <IconField provider={provider} value={values.icon_url} onChange={(icon_url) => set({ icon_url })} />
      {error !== null && error !== undefined && (
        <p role="alert" className="foreign rounded-lg bg-bad-soft px-3 py-2 text-sm text-bad">
          {sentence(error)}
        </p>
      )}
      <div className="flex items-center justify-end gap-2 pt-1">
        {extra && <div className="mr-auto">{extra}</div>}
        <Button onClick={onClose}>Cancel</Button>
        <Button look="primary" type="submit" isBusy={isBusy}>
          {action}
        </Button>
      </div>
    </form>
  );
}
