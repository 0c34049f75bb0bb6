-- Copies connections of the core into Relay, with their ids, and begins their histories. May be repeated:
-- what is there already stays as it is. Before it, in the same session:
--   set adopt.providers = 'slack,custom_notification,custom_ticketing';   -- those whose readers have moved
--   set adopt.paused = 'true';                                            -- nothing is sent until they are resumed
with core as (
    select id, organization_id, null::uuid as team_id, null::uuid as project_id, provider, installation_id,
           display_name, access_token, refresh_token, token_expires_at, metadata, status, connected_at, created_at
    from public.organization_integrations
    union all
    select i.id, t.organization_id, i.team_id, null, i.provider, i.installation_id,
           i.display_name, i.access_token, i.refresh_token, i.token_expires_at, i.metadata, i.status, i.connected_at, i.created_at
    from public.team_integrations i join public.teams t on t.id = i.team_id
    union all
    select i.id, p.organization_id, null, i.project_id, i.provider, i.installation_id,
           i.display_name, i.access_token, i.refresh_token, i.token_expires_at, i.metadata, i.status, i.connected_at, i.created_at
    from public.project_integrations i join public.projects p on p.id = i.project_id
), chosen as (
    -- Of several rows for one installation and scope the newest is the one that works.
    select distinct on (organization_id, provider, installation_id, team_id, project_id)
           core.*, status in ('connected', 'active') as works
    from core
    where provider = any (string_to_array(current_setting('adopt.providers'), ','))
      and installation_id is not null and status <> 'disconnected'
    order by organization_id, provider, installation_id, team_id, project_id, connected_at desc nulls last, id
), adopted as (
    insert into relay.organization_integrations as r (
        id, organization_id, team_id, project_id, provider, installation_id, display_name, access_token, refresh_token,
        token_expires_at, metadata, status, status_reason, paused, connected_at, created_at, updated_at, version)
    select id, organization_id, team_id, project_id, provider, installation_id,
           coalesce(nullif(btrim(display_name), ''), provider), access_token, refresh_token, token_expires_at,
           -- Whoever has the address of a channel's webhook can post to it: it does not come along.
           coalesce(metadata, '{}') #- '{incoming_webhook,url}',
           case when works then 'connected' when status = 'suspended' then 'suspended' else 'error' end,
           case when not works then 'adopted_as_it_stood' end,
           current_setting('adopt.paused')::boolean,
           coalesce(connected_at, created_at), created_at, now(), 1
    from chosen
    on conflict do nothing
    returning r.*
), begun as (
    insert into relay.streams (stream_id, organization_id, version)
    select id, organization_id, 1 from adopted
)
insert into relay.event_log (
    id, category, organization_id, stream_id, version, kind, payload, actor, occurred_at)
select relay.uuid7(), 'connection', organization_id, id, 1, 'connection.adopted',
       json_build_object(
           'provider', provider, 'installation_id', installation_id, 'display_name', display_name,
           'metadata', metadata, 'team_id', team_id, 'project_id', project_id, 'event_types', event_types,
           'conditions', conditions, 'status', status, 'status_reason', status_reason, 'paused', paused,
           'retry_schedule', retry_schedule, 'created_at', created_at, 'connected_at', connected_at),
       'system', updated_at
from adopted;
