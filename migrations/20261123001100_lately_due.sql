-- What became due in the last while, found without walking past what was settled long ago: that stays
-- in every index for as long as somebody holds an older snapshot. What is never due is left out, so that
-- no search but the one for which this is made is planned by it.
create index outbox_lately_due on relay.outbox (due_at) where due_at < 'infinity';
