-- Erasing what an organization, or a person, left behind: what was said goes, that it was said stays.

alter table relay.event_log add column erased_at timestamptz;
comment on column relay.event_log.erased_at is
    'When what it said, or a part of that, was erased. The row stays, and is delivered to nobody any more.';

-- One row for each erasure: where one goes on that was interrupted, and afterwards what it did.
create table relay.erasures (
    id uuid not null,
    organization_id uuid not null,
    scope text not null,
    subject_hash bytea,
    salt bytea,
    step text not null,
    position uuid not null,
    counts jsonb not null default '{}',
    actor text not null,
    reason text not null,
    started_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint erasures_key primary key (id),
    constraint erasures_scope_known check (scope in ('organization', 'subject')),
    constraint erasures_hold_no_subject check (octet_length(subject_hash) = 32),
    -- Neither whom it was about, nor what tells pseudonyms apart from chance, outlives it.
    constraint erasures_end_forgets check (
        finished_at is null or (subject_hash is null and salt is null)
    ),
    constraint erasures_under_way_is_whole check (
        finished_at is not null or (salt is not null and (subject_hash is not null) = (scope = 'subject'))
    )
);
comment on table relay.erasures is
    'One row for each erasure of an organization or of a subject in one. Whoever works on it has it locked, and moves it on in the transaction that erases.';
comment on column relay.erasures.subject_hash is
    'SHA-256 of the subject, so that the same command finds it again; null once it is over.';
comment on column relay.erasures.salt is
    'Random; makes one pseudonym of one person for as long as it goes on; null once it is over.';
comment on column relay.erasures.position is 'How far its step has come: the last id that was looked at.';
create unique index erasures_one_under_way
    on relay.erasures (organization_id, scope, subject_hash) nulls not distinct where finished_at is null;

-- The log and the attempts stay append-only: what may happen to a row of theirs is that it says less,
-- and only in a transaction that says what it is about to do.
create or replace function relay.refuse_change() returns trigger
language plpgsql as $$
declare
    erasable constant text[] := array[
        'payload', 'subject', 'source', 'actor', 'traceparent', 'erased_at',
        'error', 'response_head', 'details', 'external_id', 'external_url'
    ];
begin
    if tg_op = 'UPDATE' and tg_level = 'ROW' and current_setting('relay.erasing', true) = 'on' then
        if to_jsonb(new) - erasable = to_jsonb(old) - erasable then
            return new;
        end if;
    end if;
    raise exception '%.% is append-only: % is refused', tg_table_schema, tg_table_name, tg_op
        using errcode = 'restrict_violation';
end
$$;

-- The regular expression for a text that stands alone, and not as a part of a longer word, address or
-- number, in plain text or in that of JSON, where a line's end is written as two characters.
create function relay.standing_alone(wanted text) returns text
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp
return '(?:(?<![[:alnum:]])(?<![[:alnum:]][._+-])|(?<=\\[bfnrt]))'
    || regexp_replace(wanted, '([]*.+?^$(){}|[\\])', '\\\1', 'g')
    || '(?![[:alnum:]])(?![._+-][[:alnum:]])';

-- JSON without such a text. What has no letter may be a number, which is followed by a number.
create function relay.redacted(document json, wanted text) returns json
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return regexp_replace(
    document::jsonb::text, relay.standing_alone(wanted),
    case when wanted ~ '[[:alpha:]]' then 'erased' else '0' end, 'gi'
)::json;

-- Who did something, as somebody whom nobody knows: the same one within an erasure, another one in the next.
create function relay.pseudonym(actor text, salt bytea) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return case when actor like 'user:%'
    then 'erased:' || left(encode(sha256(salt || convert_to(actor, 'UTF8')), 'hex'), 16)
    else actor end;

revoke all on function relay.standing_alone(text), relay.redacted(json, text),
    relay.pseudonym(text, bytea) from public;
