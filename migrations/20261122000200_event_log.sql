-- Facts, appended and never edited: what the product reported, and what happened to connections.
create table relay.event_log (
    id uuid not null,
    category text not null,
    organization_id uuid not null,
    project_id uuid,
    team_id uuid,
    stream_id uuid,
    version bigint,
    kind text not null,
    subject text,
    priority text not null default 'normal',
    payload json not null, -- `json`, not `jsonb`: the bytes stay as they were received
    actor text,
    source text,
    hops smallint not null default 0, -- how many times this engine's own requests led to it
    occurred_at timestamptz not null,
    recorded_at timestamptz not null default now(),
    transaction_id xid8 not null default pg_current_xact_id(),
    constraint event_log_key primary key (category, id),
    constraint event_log_kind_grammar check (
        kind ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$' and length(kind) <= 128
    ),
    constraint event_log_priority_known check (priority in ('critical', 'high', 'normal', 'low')),
    constraint event_log_hops_range check (hops between 0 and 3),
    -- The same years as over HTTP: no reader can make a date of infinity.
    constraint event_log_occurred_at_is_a_date check (
        occurred_at >= '1970-01-01 00:00:00+00' and occurred_at < '10000-01-01 00:00:00+00'
    ),
    constraint event_log_subject_bytes_max check (octet_length(subject) <= 512),
    constraint event_log_source_bytes_max check (octet_length(source) <= 128),
    constraint event_log_payload_bytes_max check (octet_length(payload::text) <= 262144)
) partition by list (category);

comment on column relay.event_log.transaction_id is
    'Readers that tail the log order by (transaction_id, id) below pg_snapshot_xmin; ordering by id alone would miss late commits.';

-- The two lists are all the categories there are: a row of another one has nowhere to go.
create table relay.event_log_connection partition of relay.event_log (
    constraint event_log_connection_has_a_stream check (stream_id is not null and version >= 1)
) for values in ('connection');
create unique index event_log_one_writer_per_version
    on relay.event_log_connection (stream_id, version);

-- Days are attached by relay.ensure_partitions. The default partition takes what has no day yet:
-- nothing is refused, and an alarm tells that the duty has not run.
create table relay.event_log_product partition of relay.event_log (
    constraint event_log_product_has_no_stream check (stream_id is null and version is null)
) for values in ('product') partition by range (id);
create table relay.event_log_product_default partition of relay.event_log_product default;

create trigger event_log_is_append_only before update or delete on relay.event_log
    for each row execute function relay.refuse_change();

-- The core's older names for kinds; the catalogue in engine/src/event.rs must agree (a test checks).
create table relay.kind_aliases (
    alias text not null,
    kind text not null,
    constraint kind_aliases_key primary key (alias)
);
insert into relay.kind_aliases (alias, kind) values
    ('vulnerability_discovered', 'vulnerability.found'),
    ('vulnerability_resolved', 'vulnerability.resolved'),
    ('malicious_package_detected', 'malicious.package_detected'),
    ('policy_violation', 'policy.violation'),
    ('policy_code_updated', 'policy.code_updated'),
    ('status_changed', 'project.status_changed'),
    ('project_created', 'project.created'),
    ('project_deleted', 'project.deleted'),
    ('sla_warning', 'sla.warning'),
    ('sla_breached', 'sla.breached'),
    ('integration_connected', 'integration.connected'),
    ('integration_disconnected', 'integration.disconnected'),
    ('integration_health_degraded', 'integration.health_degraded'),
    ('member_invited', 'administrative.member_invited'),
    ('member_removed', 'administrative.member_removed'),
    ('feed_sync_stale', 'feed.sync_stale');
