// Calls every function of examples/core/relay.ts, and prints as JSON what came of it.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const { MODULE, DATABASE_URL, RELAY, KEY, ORG, CONNECTION, RELAY_VERIFIERS_DIR } = process.env;
const { emit, post, token, Refused } = await import(MODULE);
const { Client } = createRequire(RELAY_VERIFIERS_DIR + '/npm/')('pg');
const relay = { url: RELAY, serviceKey: KEY };
const event = (marker, more) => ({
  type: 'vulnerability.found', organizationId: ORG, data: { marker }, priority: 'high', occurredAt: new Date(0), ...more,
});
const refusal = (promise) =>
  promise.then(
    () => 'it was not refused',
    (error) => (error instanceof Refused ? [error.status, error.code] : String(error)),
  );

const database = new Client(DATABASE_URL);
await database.connect();
const inTransaction = async (end, ...events) => {
  const ids = [];
  await database.query('begin');
  for (const one of events) ids.push(await emit(database, one));
  await database.query(end);
  return ids;
};
const recorded = async () => {
  const { rows } = await database.query("select count(*)::int as n from relay.event_log where category = 'product'");
  return rows[0].n;
};
const change = event('with the change', { idempotencyKey: 'scan-1', projectId: ORG, source: 'a test', subject: 'x' });
await inTransaction('rollback', change);
const rolledBack = await recorded();
const [first, second] = await inTransaction('commit', change, change);
const committed = await recorded();
const other = await inTransaction('commit', { ...change, subject: 'y' }).catch((error) => error.code);
await database.end();

const http = event('over http', { idempotencyKey: 'scan-2' });
const posted = await post(relay, http);
const again = await post(relay, http);

// Busy, then gone in the middle, then there: with the same key each time.
const keys = [];
const stubborn = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  keys.push(JSON.parse(body).idempotency_key);
  if (keys.length === 1) response.writeHead(503, { 'retry-after': '0' }).end('{"error":"busy","code":"overloaded"}');
  else if (keys.length === 2) request.socket.destroy();
  else response.writeHead(202).end('{"id":"x","duplicate":false}');
});
await new Promise((resolve) => stubborn.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${stubborn.address().port}`;
const persisted = await post({ url, serviceKey: KEY }, event('x', { idempotencyKey: 'k' }));
stubborn.close();
stubborn.closeAllConnections();

console.log(
  JSON.stringify({
    rolled_back: rolledBack,
    committed,
    again_is_the_same: first === second,
    other_content: other,
    posted: posted.duplicate,
    posted_again: again.duplicate && again.id === posted.id,
    posted_other_content: await refusal(post(relay, { ...http, subject: 'z' })),
    misnamed: await refusal(post(relay, { ...http, type: 'Not A Kind' })),
    no_token: await refusal(token(relay, CONNECTION)),
    stubborn: persisted,
    keys,
  }),
);
