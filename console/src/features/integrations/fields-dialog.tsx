// Asks for what the catalogue says that a service needs: an address and a token, say.
import { useState, type FormEvent } from "react";

import type { Provider } from "@/api/catalogue";
import { sentence } from "@/api/errors";
import { useConnectWithFields } from "@/api/integrations";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Field } from "@/components/field";
import { useToast } from "@/components/toast";

export function FieldsDialog({ provider, onClose }: { provider: Provider; onClose: () => void }) {
  const { id: org } = useOrganization();
  const connect = useConnectWithFields(org, provider);
  const toast = useToast();
  const [values, setValues] = useState<Record<string, string>>({});
  const submit = (event: FormEvent) => {
    event.preventDefault();
    connect.mutate(values, {
      onSuccess: () => {
        toast.good(`${provider.label} is connected`);
        onClose();
      },
    });
  };
  return (
    <Dialog isOpen onClose={onClose} title={`Connect ${provider.label}`} about="What you enter is sent to Relay alone. A token is never shown again.">
      <form onSubmit={submit} className="space-y-4">
        {provider.fields.map((field) => (
          <Field
            key={field.name}
            label={field.label}
            type={field.is_secret ? "password" : field.name.endsWith("url") ? "url" : "text"}
            required={field.is_required}
            autoComplete="off"
            value={values[field.name] ?? ""}
            onChange={(event) => setValues({ ...values, [field.name]: event.target.value })}
          />
        ))}
        {connect.error && (
          <p role="alert" className="foreign rounded-lg bg-bad-soft px-3 py-2 text-sm text-bad">
            {sentence(connect.error)}
          </p>
        )}
        <div className="flex justify-end gap-2 pt-1">
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" isBusy={connect.isPending}>
            Connect
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
