-- Parked deliveries are let go on some at a time, in the order of their events.

-- By reason, so that those that stay parked are passed over at once, however many they are.
create index outbox_parked on relay.outbox (connection_id, coalesce(waiting_for, ''), event_id)
    where shard < 0;

-- Whether a delivery stays parked although its connection takes events.
create function relay.stays_parked(waiting_for text, metadata jsonb) returns boolean
language sql immutable parallel safe as $$
    select case waiting_for
        when 'head_of_line' then true
        when 'no_destination' then not metadata ? 'destination'
        else false
    end
$$;
