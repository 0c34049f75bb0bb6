-- Keys by which a caller may repeat an append safely, for two days.
create table relay.idempotency_keys (
    day date not null,
    organization_id uuid not null,
    key text not null,
    content_hash bytea not null,
    event_id uuid not null,
    constraint idempotency_keys_key primary key (organization_id, key, day),
    constraint idempotency_keys_length check (octet_length(key) between 1 and 256),
    constraint idempotency_keys_hash_length check (octet_length(content_hash) = 32)
) partition by range (day);
create table relay.idempotency_keys_default partition of relay.idempotency_keys default;
