-- Who looked at what was reported, and who took it away: facts that nobody can take back.

-- Everything that an organization's people did, in the order of time: what one list is read from.
create index event_log_connection_of_organization on relay.event_log_connection (organization_id, id);
create index event_log_replay_of_organization on relay.event_log_replay (organization_id, id);

-- Rows are refused to change and to go by a trigger of the log. Emptying a table asks no row.
create trigger event_log_connection_is_never_emptied before truncate on relay.event_log_connection
    for each statement execute function relay.refuse_change();
create trigger event_log_replay_is_never_emptied before truncate on relay.event_log_replay
    for each statement execute function relay.refuse_change();

-- `stream_id` is what was read: a delivery or an event. An export has none. No versions: nobody folds
-- these, and readers need not wait for each other.
create table relay.event_log_audit partition of relay.event_log (
    constraint event_log_audit_has_an_actor check (actor is not null),
    constraint event_log_audit_has_no_version check (version is null)
) for values in ('audit');
create index event_log_audit_of_organization on relay.event_log_audit (organization_id, id);
-- Who reads the same again within the hour is found here; of two who ask at once, one is recorded.
create unique index event_log_audit_once_an_hour on relay.event_log_audit
    (stream_id, actor, kind, date_trunc('hour', occurred_at at time zone 'UTC'))
    where stream_id is not null;
create trigger event_log_audit_is_never_emptied before truncate on relay.event_log_audit
    for each statement execute function relay.refuse_change();
