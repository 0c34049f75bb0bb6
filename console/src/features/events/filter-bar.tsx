// The filters of the list of events. Whoever shows it keeps them, in the address.
import { useEventTypes } from "@/api/catalogue";
import { Button } from "@/components/button";
import { ChoicePill, PeriodPill, TextPill } from "@/components/filter-pill";
import { EVENT_FILTERS, filtersSet, type EventFilter } from "@/lib/filters";

export function FilterBar({ filter, onChange }: { filter: EventFilter; onChange: (filter: EventFilter) => void }) {
  const kinds = useEventTypes().data ?? [];
  const set = (change: Partial<EventFilter>) => onChange({ ...filter, ...change });
  return (
    <div role="search" aria-label="Filters" className="mb-4 flex flex-wrap items-center gap-1.5">
      <PeriodPill
        period={filter}
        onChange={(period) => set({ range: undefined, since: undefined, until: undefined, ...period })}
      />
      <ChoicePill
        label="Kind"
        value={filter.type}
        onChange={(type) => set({ type })}
        options={kinds.map((one) => ({ value: one.type, label: one.type }))}
        canType
      />
      <TextPill label="Subject" value={filter.subject} onChange={(subject) => set({ subject })} hint="What the event is about, whole." />
      <TextPill label="Source" value={filter.source} onChange={(source) => set({ source })} hint="The part of Deptex that reported it." />
      <TextPill label="Project" value={filter.project_id} onChange={(project_id) => set({ project_id })} hint="The project’s id." />
      <TextPill label="Team" value={filter.team_id} onChange={(team_id) => set({ team_id })} hint="The team’s id." />
      {filtersSet(EVENT_FILTERS, filter) > 0 && (
        <Button look="quiet" size="sm" onClick={() => onChange({})}>
          Clear all
        </Button>
      )}
    </div>
  );
}
