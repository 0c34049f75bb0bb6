-- What went over the wire of an attempt, for people who look at it.

alter table relay.attempts add column details text;
comment on column relay.attempts.details is
    'JSON (text, since checking it at every insert costs as much as storing it). us: where the time went, in microseconds: queue, pace, connect (null: no connection was opened), send, wait, read. u: the URL. Of a custom webhook w: what cannot be told from the rest (t: webhook-timestamp, s: x-deptex-signature, v: webhook-signature, n: bytes of the body, f: the beginning of its SHA-256, h: names of the headers of its own); of any other m: the method, h: the headers, b: the body, c: whether it is cut. a: the headers of the answer. Credentials are masked.';
