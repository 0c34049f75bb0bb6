// Receives webhooks of Deptex: verifies them, keeps each once, answers. The work is done elsewhere, from INBOX.
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

const SECRETS = process.env.DEPTEX_SECRETS.split(' '); // two of them while you change over
const INBOX = process.env.INBOX ?? 'inbox';
const SECONDS_MAX = 5 * 60; // between our clock and theirs
const BYTES_MAX = 1024 * 1024;

function isSame(given, expected) {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Standard Webhooks: the delivery's id, if one of our secrets signed id, time and body just now. */
function signedNow(headers, body) {
  const id = headers['webhook-id'] ?? '';
  const sentAt = headers['webhook-timestamp'] ?? '';
  if (!/^[0-9]{1,12}$/.test(sentAt) || Math.abs(Date.now() / 1000 - Number(sentAt)) > SECONDS_MAX) return null;
  const given = (headers['webhook-signature'] ?? '').split(' ');
  for (const secret of SECRETS) {
    const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
    const expected = 'v1,' + createHmac('sha256', key).update(`${id}.${sentAt}.`).update(body).digest('base64');
    if (given.some((one) => isSame(one, expected))) return id;
  }
  return null;
}

/** X-Deptex-Signature covers the body alone: the id must be the one in there, and no time is known. */
function signed(headers, body) {
  const given = headers['x-deptex-signature'] ?? '';
  for (const secret of SECRETS) {
    const expected = 'sha256=' + createHmac('sha256', secret).update(body).digest('hex');
    if (isSame(given, expected)) return JSON.parse(body).delivery_id ?? 'test';
  }
  return null;
}

/** Whole or not at all, and under its id: one that is there already stays as it is. */
function keep(id, body) {
  const name = `${INBOX}/.${randomUUID()}`;
  const file = openSync(name, 'wx');
  try {
    writeFileSync(file, body);
    fsyncSync(file);
    linkSync(name, `${INBOX}/${id}.json`);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    closeSync(file);
    unlinkSync(name);
  }
}

async function receive(request) {
  const verify = { '/webhooks': signedNow, '/webhooks/simple': signed }[request.url];
  if (request.method !== 'POST' || !verify) return 404;
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BYTES_MAX) return 413;
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks); // the bytes as they came: nothing is parsed yet
  const id = verify(request.headers, body);
  if (id === null || !/^[0-9A-Za-z_-]{1,64}$/.test(id)) return 401;
  keep(id, body);
  return 204;
}

mkdirSync(INBOX, { recursive: true });
createServer((request, response) => {
  receive(request)
    .catch((error) => (console.error(error), 500)) // Deptex will try again
    .then((status) => response.writeHead(status).end());
}).listen(Number(process.env.PORT ?? 8080), '127.0.0.1');
