-- Checks what was stored before the constraints of …000900, under a lock that stops nobody.
alter table relay.outbox validate constraint outbox_shard_range;
alter table relay.outbox validate constraint outbox_parked_is_never_due;
alter table relay.attempts validate constraint attempts_settlement_known;
alter table relay.attempts validate constraint attempts_delivered_had_an_answer;
