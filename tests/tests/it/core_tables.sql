-- The core's tables as far as Relay follows on from them, with what stands in them on the day of moving over.
create table public.teams (id uuid primary key, organization_id uuid not null);
create table public.projects (id uuid primary key, organization_id uuid not null);
create table public.organization_integrations (
    id uuid primary key default gen_random_uuid(),
    organization_id uuid not null,
    provider text not null,
    installation_id text,
    access_token text,
    refresh_token text,
    webhook_secret text,
    metadata jsonb default '{}',
    status text default 'connected',
    connected_at timestamptz default now(),
    last_sync_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    display_name text,
    token_expires_at timestamptz,
    consecutive_failures integer default 0,
    last_failure_at timestamptz
);
create unique index organization_integrations_installation
    on public.organization_integrations (organization_id, provider, installation_id) where installation_id is not null;
create table public.team_integrations (
    like public.organization_integrations including defaults including constraints,
    team_id uuid not null references public.teams on delete cascade
);
alter table public.team_integrations drop organization_id, drop consecutive_failures, drop last_failure_at;
create table public.project_integrations (
    like public.organization_integrations including defaults including constraints,
    project_id uuid not null references public.projects on delete cascade
);
alter table public.project_integrations drop organization_id, drop consecutive_failures, drop last_failure_at;
create table public.project_repositories (
    id uuid primary key default gen_random_uuid(),
    integration_id uuid references public.organization_integrations (id) on delete set null
);
create table public.notification_events (
    id uuid primary key default gen_random_uuid(),
    event_type text not null,
    organization_id uuid not null,
    project_id uuid,
    team_id uuid,
    payload jsonb not null default '{}',
    source text not null,
    priority text not null default 'normal' check (priority in ('critical', 'high', 'normal', 'low')),
    batch_id uuid,
    deduplication_key text,
    dispatch_attempts integer not null default 0,
    status text not null default 'pending' check (status in ('pending', 'dispatching', 'dispatched', 'failed')),
    created_at timestamptz not null default now()
);
create unique index notification_events_deduplication
    on public.notification_events (deduplication_key) where deduplication_key is not null;

insert into public.teams values ('00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-000000000001');
insert into public.projects values ('00000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-000000000001');
insert into public.organization_integrations
    (id, organization_id, provider, installation_id, display_name, access_token, refresh_token, status, metadata)
select ('00000000-0000-4000-8000-0000000001' || number)::uuid, '00000000-0000-4000-8000-000000000001',
       provider, installation_id, name, access_token, refresh_token, status, metadata::jsonb
from (values
    ('01', 'custom_notification', 'random-1', 'Our hook', 'CLEAR-SECRET', null, 'connected', '{"custom_name": "Our hook", "type": "notification", "webhook_url": "HOOK", "icon_url": null}'),
    ('02', 'slack', 'T1:C1', 'Acme', 'xoxb-clear', null, 'connected', '{"channel": "#ops", "incoming_webhook": {"channel": "#ops", "url": "https://hooks.example/clear"}}'),
    ('03', 'gitlab', '77', null, 'gl-clear', 'gl-refresh-clear', 'connected', '{"gitlab_url": "https://gitlab.com"}'),
    ('04', 'jira', 'cloud-1', 'Site', 'jira-clear', 'jira-refresh-clear', 'error', '{"cloud_id": "cloud-1"}'),
    ('05', 'pagerduty', 'p1', 'Pager', 'pd-clear', null, 'active', '{}'),
    ('06', 'asana', null, 'Half', null, null, 'connected', '{}'),
    ('07', 'linear', 'L1', 'Gone', null, null, 'disconnected', '{}')
) v (number, provider, installation_id, name, access_token, refresh_token, status, metadata);
insert into public.team_integrations (id, team_id, provider, installation_id, display_name, access_token, connected_at)
values
    ('00000000-0000-4000-8000-000000000201', '00000000-0000-4000-8000-00000000000a', 'slack', 'T1:C2', 'Older', 'xoxb-team-clear', now() - interval '1 day'),
    ('00000000-0000-4000-8000-000000000202', '00000000-0000-4000-8000-00000000000a', 'slack', 'T1:C2', 'Newer', 'xoxb-team-clear', now());
insert into public.project_integrations (id, project_id, provider, installation_id, display_name, access_token)
values ('00000000-0000-4000-8000-000000000301', '00000000-0000-4000-8000-00000000000b', 'jira', 'cloud-1', 'Site', 'jira-project-clear');
insert into public.project_repositories (integration_id) values ('00000000-0000-4000-8000-000000000103');
