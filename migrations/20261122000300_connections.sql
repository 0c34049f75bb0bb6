-- What an organization has connected: the streams of its history, and the table that readers use.
create table relay.streams (
    stream_id uuid not null,
    organization_id uuid not null,
    version bigint not null,
    constraint streams_key primary key (stream_id),
    constraint streams_version_positive check (version >= 1)
);
comment on table relay.streams is
    'One row a stream; `update … where version = $expected` is the optimistic lock of its writers.';

create table relay.organization_integrations (
    id uuid not null,
    organization_id uuid not null,
    provider text not null,
    installation_id text not null,
    display_name text not null,
    access_token text,
    refresh_token text,
    metadata jsonb not null default '{}',
    status text not null default 'connected',
    connected_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    token_expires_at timestamptz,
    team_id uuid,
    project_id uuid,
    event_types text[] not null default '{*}',
    conditions jsonb,
    conditions_path jsonpath,
    paused boolean not null default false,
    retry_schedule integer[],
    status_reason text,
    version bigint not null,
    constraint organization_integrations_key primary key (id),
    constraint organization_integrations_one_per_installation
        unique (organization_id, provider, installation_id),
    constraint organization_integrations_status_known
        check (status in ('connected', 'disconnected', 'error', 'suspended')),
    constraint organization_integrations_one_scope check (team_id is null or project_id is null),
    constraint organization_integrations_provider_grammar check (provider ~ '^[a-z][a-z0-9_]{0,62}$'),
    constraint organization_integrations_event_types_some check (cardinality(event_types) >= 1),
    constraint organization_integrations_conditions_compiled
        check ((conditions is null) = (conditions_path is null)),
    constraint organization_integrations_connected_is_whole
        check (status <> 'connected' or (connected_at is not null and status_reason is null)),
    constraint organization_integrations_disconnected_holds_no_token
        check (status <> 'disconnected' or (access_token is null and refresh_token is null)),
    constraint organization_integrations_version_positive check (version >= 1)
);
comment on table relay.organization_integrations is
    'The read model of connections, folded from the log. access_token and refresh_token hold sealed text.';
comment on column relay.organization_integrations.retry_schedule is
    'Waits between attempts in seconds; null means the default schedule.';
create index organization_integrations_receivers on relay.organization_integrations (organization_id)
    where status <> 'disconnected';

create table relay.secrets (
    connection_id uuid not null,
    purpose text not null,
    version integer not null,
    organization_id uuid not null,
    key_id text not null,
    sealed text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    constraint secrets_key primary key (connection_id, purpose, version),
    constraint secrets_purpose_known
        check (purpose in ('signing', 'access_token', 'refresh_token')),
    constraint secrets_are_sealed check (sealed ~ '^sealed\.v1\.[0-9a-f]{8}\.[A-Za-z0-9_-]+$'),
    constraint secrets_version_positive check (version >= 1)
);
comment on column relay.secrets.expires_at is
    'Set on an older secret that stays valid for an overlap after its successor was made.';

create table relay.icons (
    id uuid not null,
    organization_id uuid not null,
    content_type text not null,
    bytes bytea not null,
    created_at timestamptz not null default now(),
    constraint icons_key primary key (id),
    constraint icons_content_type_known
        check (content_type in ('image/png', 'image/jpeg', 'image/webp')),
    constraint icons_bytes_max check (octet_length(bytes) between 1 and 262144)
);

-- The query in the integrations guide names the table without its schema. Beside the core's own
-- tables nothing is made: the name is taken there. The view shows a reader only what the reader
-- may read of the table itself.
do $$
begin
    if to_regclass('public.organization_integrations') is null then
        create view public.organization_integrations with (security_invoker = true) as
            select id, organization_id, provider, installation_id, display_name, access_token,
                   refresh_token, metadata, status, connected_at, created_at, updated_at
            from relay.organization_integrations;
    end if;
end
$$;
