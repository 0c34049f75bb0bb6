-- The core's tables of connections give way to Relay's. Run when nothing writes to them any more, in one transaction.
-- The old tables stay, without tokens, until somebody drops them.
alter table public.project_repositories drop constraint if exists project_repositories_integration_id_fkey;
update public.organization_integrations set access_token = null, refresh_token = null;
update public.team_integrations set access_token = null, refresh_token = null;
update public.project_integrations set access_token = null, refresh_token = null;
alter table public.organization_integrations rename to organization_integrations_before_relay;
create view public.organization_integrations with (security_invoker = true) as
    select id, organization_id, provider, installation_id, display_name, access_token, refresh_token, metadata, status,
           connected_at, created_at, updated_at
    from relay.organization_integrations;
