-- Consent that is under way, who is refreshing which tokens, and what connections keep about theirs.
create table relay.oauth_states (
    state_hash bytea not null,
    organization_id uuid not null,
    user_id uuid not null,
    provider text not null,
    team_id uuid,
    project_id uuid,
    success_redirect text,
    redirect_uri text not null,
    pkce_verifier text,
    browser_hash bytea,
    installation_id text,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz,
    constraint oauth_states_key primary key (state_hash),
    constraint oauth_states_hold_no_state check (octet_length(state_hash) = 32),
    constraint oauth_states_one_scope check (team_id is null or project_id is null),
    constraint oauth_states_verifier_is_sealed check (pkce_verifier like 'sealed.v1.%'),
    constraint oauth_states_end check (expires_at > created_at)
);
comment on table relay.oauth_states is
    'One row for each admin on the way to a provider and back. Only the hash of the state is kept; a row is used once.';
comment on column relay.oauth_states.browser_hash is
    'Hash of what only the browser that began can show again.';
comment on column relay.oauth_states.installation_id is
    'GitHub: the installation that was named and is not yet proven to be the admin''s.';
create index oauth_states_ended on relay.oauth_states (expires_at);

-- A refresh spends the refresh token, so only one may be under way for each consent, in all
-- processes. A row with a time limit, and not a lock: no transaction stays open while the provider
-- thinks, and a worker that died holds nobody up for longer than the limit.
create table relay.token_refreshes (
    grant_id uuid not null,
    holder uuid not null,
    until timestamptz not null,
    constraint token_refreshes_key primary key (grant_id)
);

alter table relay.organization_integrations
    add column grant_id uuid,
    add column refresh_after timestamptz;
comment on column relay.organization_integrations.grant_id is
    'The consent that its tokens came from. One consent may serve several sites: they share its tokens, so a refresh writes all of them.';
comment on column relay.organization_integrations.refresh_after is
    'When the duty refreshes its token next; null where there is nothing to refresh.';
create index organization_integrations_of_grant on relay.organization_integrations (grant_id)
    where grant_id is not null;
create index organization_integrations_refresh_due
    on relay.organization_integrations (refresh_after) where refresh_after is not null;

-- A workspace may serve the organization, and a team and a project of it, each with a channel of its
-- own: one connection for each scope. What was unique before stays so.
alter table relay.organization_integrations
    drop constraint organization_integrations_one_per_installation;
create unique index organization_integrations_one_per_installation
    on relay.organization_integrations
    (organization_id, provider, installation_id, team_id, project_id) nulls not distinct;
