-- What the core and its workers insert into notification_events is reported to Relay in the same transaction,
-- and marked as dispatched: the former dispatcher leaves it alone.
create function public.report_to_relay() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform relay.emit(
        -- An older name that Relay knows stays; one that it does not know becomes a dotted one.
        kind => case
            when new.event_type like '%.%' or exists (select from relay.kind_aliases a where a.alias = new.event_type)
                then new.event_type
            else 'core.' || new.event_type
        end,
        organization_id => new.organization_id,
        data => case when jsonb_typeof(new.payload) = 'object' then new.payload
                     else jsonb_build_object('value', new.payload) end,
        project_id => new.project_id,
        team_id => new.team_id,
        source => new.source,
        priority => coalesce(new.priority, 'normal'),
        idempotency_key => nullif(new.deduplication_key, '')
    );
    new.status := 'dispatched';
    return new;
end
$$;
create trigger report_to_relay before insert on public.notification_events
    for each row execute function public.report_to_relay();
