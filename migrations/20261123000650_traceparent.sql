-- The trace that an event belongs to is kept with it (W3C Trace Context): attempts go on with it, in
-- whichever process they are made, and custom webhooks are told.

-- Version 00 alone: of later ones it is not known what they mean. Neither id may be all zeros.
create function relay.is_traceparent(value text) returns boolean
language sql immutable strict parallel safe
return value ~ '^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$';

alter table relay.event_log add column traceparent text;
-- There is nothing to validate: what was recorded before has none.
alter table relay.event_log add constraint event_log_traceparent_grammar check (
    relay.is_traceparent(traceparent)
) not valid;
comment on column relay.event_log.traceparent is
    'The span that the recording was part of, as in the W3C header of that name; null where there was none.';

-- A traceparent that the transaction was given by `set_config('relay.traceparent', …, true)`, for
-- relay.emit. One that is malformed is passed over, as the standard asks: tracing never refuses an event.
create function relay.given_traceparent() returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select given from current_setting('relay.traceparent', true) given
    where relay.is_traceparent(given)
$$;
