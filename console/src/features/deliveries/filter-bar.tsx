// The filters of the list of deliveries. Whoever shows it keeps them, in the address.
import { useEventTypes, useProviderLabel } from "@/api/catalogue";
import { useConnections } from "@/api/connections";
import { Button } from "@/components/button";
import { ChoicePill, PeriodPill, TextPill } from "@/components/filter-pill";
import { Dot } from "@/components/badge";
import { toneOf } from "@/components/status";
import { useOrganization } from "@/app/organization";
import { ProviderIcon } from "@/features/integrations/provider-icon";
import { classes } from "@/lib/classes";
import { DELIVERY_FILTERS, filtersSet, type DeliveryFilter } from "@/lib/filters";
import { humanise } from "@/lib/text";
import { deliveryClass, errorClass, KNOWN_ERROR_CLASSES, STATUSES, statusSentence } from "@/lib/words";

interface Props {
  filter: DeliveryFilter;
  onChange: (filter: DeliveryFilter) => void;
}

export function FilterBar({ filter, onChange }: Props) {
  const { id: org } = useOrganization();
  const connections = useConnections(org).data ?? [];
  const kinds = useEventTypes().data ?? [];
  const labelOf = useProviderLabel();
  const set = (change: Partial<DeliveryFilter>) => onChange({ ...filter, ...change });
  const providers = [...new Set(connections.map((one) => one.provider))].sort();
  return (
    <div role="search" aria-label="Filters" className="mb-4 space-y-2.5">
      <StatusToggles filter={filter} onChange={onChange} />
      <div className="flex flex-wrap items-center gap-1.5">
        <PeriodPill
          period={filter}
          onChange={(period) => set({ range: undefined, since: undefined, until: undefined, ...period })}
        />
        <ChoicePill
          label="Connection"
          value={filter.connection_id}
          onChange={(connection_id) => set({ connection_id })}
          options={connections.map((one) => ({
            value: one.id,
            label: one.display_name || labelOf(one.provider),
            icon: <ProviderIcon provider={one.provider} size="sm" />,
          }))}
        />
        <ChoicePill
          label="Provider"
          value={filter.provider}
          onChange={(provider) => set({ provider })}
          options={providers.map((one) => ({ value: one, label: labelOf(one), icon: <ProviderIcon provider={one} size="sm" /> }))}
        />
        <ChoicePill
          label="Kind"
          value={filter.event}
          onChange={(event) => set({ event })}
          options={kinds.map((one) => ({ value: one.type, label: one.type }))}
          canType
        />
        <TextPill label="Subject" value={filter.subject} onChange={(subject) => set({ subject })} hint="What the event is about, whole." />
        <ChoicePill
          label="Error"
          value={filter.error_class}
          onChange={(error_class) => set({ error_class })}
          options={KNOWN_ERROR_CLASSES.map((one) => ({ value: one, label: errorClass(one), more: one }))}
          canType
        />
        <TextPill label="External id" value={filter.external_id} onChange={(external_id) => set({ external_id })} hint="The provider’s id of what was made, as SEC-12." />
        <ChoicePill
          label="Class"
          value={filter.class}
          onChange={(value) => set({ class: value })}
          options={["live", "retry", "replay"].map((one) => ({ value: one, label: deliveryClass(one) }))}
        />
        {filter.event_id && (
          <TextPill label="Event id" value={filter.event_id} onChange={(event_id) => set({ event_id })} />
        )}
        {filtersSet(DELIVERY_FILTERS, filter) > 0 && (
          <Button look="quiet" size="sm" onClick={() => onChange({ status: [] })}>
            Clear all
          </Button>
        )}
      </div>
    </div>
  );
}

function StatusToggles({ filter, onChange }: Props) {
  const toggle = (status: string) =>
    onChange({
      ...filter,
      status: filter.status.includes(status) ? filter.status.filter((one) => one !== status) : [...filter.status, status],
    });
  return (
    <div role="group" aria-label="Status" className="flex flex-wrap gap-1.5">
      {STATUSES.map((status) => {
        const isOn = filter.status.includes(status);
        return (
          <button
            key={status}
            type="button"
            aria-pressed={isOn}
            title={statusSentence(status)}
            onClick={() => toggle(status)}
            className={classes(
              "inline-flex h-7 items-center gap-1.5 rounded-lg border px-2.5 text-xs font-medium transition-colors",
              isOn ? "border-accent bg-accent-soft text-accent-ink" : "border-line bg-surface text-muted hover:bg-raised hover:text-ink",
            )}
          >
            <Dot tone={toneOf("delivery", status)} />
            {humanise(status)}
          </button>
        );
      })}
    </div>
  );
}
