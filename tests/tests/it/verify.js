// Judges requests, given as JSON on standard input, with the published library and by hand.
const { createHmac, timingSafeEqual } = require('node:crypto');
const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');

const installed = createRequire(process.env.RELAY_VERIFIERS_DIR + '/npm/');
const { Webhook, WebhookVerificationError } = installed('standardwebhooks');

// The function of the integrations guide, as it is printed there, without its types.
function verifySignature(payload, signature, secret) {
  const expected = 'sha256=' + createHmac('sha256', secret).update(payload).digest('hex');
  return timingSafeEqual(Buffer.from(expected), Buffer.from(signature));
}

function accepts(verify, refusal) {
  try {
    return verify() !== false;
  } catch (error) {
    // Buffers of different lengths are told by an error as well.
    if (error instanceof refusal) return false;
    throw error;
  }
}

const cases = JSON.parse(readFileSync(0, 'utf8'));
const verdicts = cases.map(({ body, headers, secret }) => {
  const payload = Buffer.from(body, 'base64').toString('utf8');
  const official = new Webhook(secret);
  return {
    standardwebhooks: accepts(() => official.verify(payload, headers), WebhookVerificationError),
    guide: accepts(() => verifySignature(payload, headers['x-deptex-signature'], secret), RangeError),
  };
});
console.log(JSON.stringify(verdicts));
