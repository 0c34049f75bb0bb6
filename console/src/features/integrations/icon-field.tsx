// A picture for a custom integration: chosen, looked at, uploaded, taken away.
import { ImagePlus, X } from "lucide-react";
import { useRef, useState } from "react";

import { sentence } from "@/api/errors";
import { useUploadIcon } from "@/api/integrations";
import { useOrganization } from "@/app/organization";
import { Button } from "@/components/button";
import { ProviderIcon } from "./provider-icon";

const BYTES_MAX = 256 * 1024;
const KINDS = ["image/png", "image/jpeg", "image/webp"];

export function IconField({ value, provider, onChange }: { value: string | null; provider: string; onChange: (url: string | null) => void }) {
  const { id: org } = useOrganization();
  const upload = useUploadIcon(org);
  const input = useRef<HTMLInputElement>(null);
  const [mistake, setMistake] = useState<string | null>(null);
  const take = (file: File | undefined) => {
    if (!file) return;
    if (!KINDS.includes(file.type)) return setMistake("Choose a PNG, JPEG or WebP picture.");
    if (file.size > BYTES_MAX) return setMistake("The picture may have at most 256 KiB.");
    setMistake(null);
    upload.mutate(file, { onSuccess: ({ url }) => onChange(url), onError: (error) => setMistake(sentence(error)) });
  };
  return (
    <fieldset>
      <legend className="mb-1 text-xs font-medium text-muted">Icon</legend>
      <div className="flex items-center gap-3">
        <ProviderIcon provider={provider} iconUrl={value} size="lg" />
        <div className="min-w-0">
          <div className="flex gap-2">
            <Button size="sm" icon={<ImagePlus className="size-3.5" aria-hidden />} isBusy={upload.isPending} onClick={() => input.current?.click()}>
              {value ? "Another picture" : "Upload a picture"}
            </Button>
            {value && (
              <Button size="sm" look="quiet" icon={<X className="size-3.5" aria-hidden />} onClick={() => onChange(null)}>
                Remove
              </Button>
            )}
          </div>
          <p className="mt-1 text-xs text-faint">PNG, JPEG or WebP, square, at most 256 KiB.</p>
        </div>
        <input
          ref={input}
          type="file"
          accept={KINDS.join(",")}
          aria-label="Picture"
          className="hidden"
          onChange={(event) => {
            take(event.target.files?.[0]);
            event.target.value = "";
          }}
        />
      </div>
      {mistake && (
        <p role="alert" className="mt-1 text-xs text-bad">
          {mistake}
        </p>
      )}
    </fieldset>
  );
}
