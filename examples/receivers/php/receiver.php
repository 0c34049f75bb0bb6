<?php
// Receives webhooks of Deptex: verifies them, keeps each once, answers. The work is done elsewhere, from INBOX.
// To try it: php -S 127.0.0.1:8080 receiver.php
declare(strict_types=1);

define('SECRETS', explode(' ', getenv('DEPTEX_SECRETS'))); // two of them while you change over
define('INBOX', getenv('INBOX') ?: 'inbox');
const SECONDS_MAX = 5 * 60; // between our clock and theirs
const BYTES_MAX = 1024 * 1024;

function header_value(string $name): string
{
    return $_SERVER['HTTP_' . strtoupper(strtr($name, '-', '_'))] ?? '';
}

/** Standard Webhooks: the delivery's id, if one of our secrets signed id, time and body just now. */
function signed_now(string $body): ?string
{
    [$id, $sentAt] = [header_value('webhook-id'), header_value('webhook-timestamp')];
    if (!preg_match('/\A[0-9]{1,12}\z/', $sentAt) || abs(time() - (int) $sentAt) > SECONDS_MAX) {
        return null;
    }
    foreach (SECRETS as $secret) {
        $key = base64_decode(preg_replace('/\Awhsec_/', '', $secret));
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$sentAt.$body", $key, true));
        foreach (explode(' ', header_value('webhook-signature')) as $given) {
            if (hash_equals($expected, $given)) {
                return $id;
            }
        }
    }
    return null;
}

/** X-Deptex-Signature covers the body alone: the id must be the one in there, and no time is known. */
function signed(string $body): ?string
{
    foreach (SECRETS as $secret) {
        if (hash_equals('sha256=' . hash_hmac('sha256', $body, $secret), header_value('x-deptex-signature'))) {
            return json_decode($body, true)['delivery_id'] ?? 'test';
        }
    }
    return null;
}

/** Whole or not at all, and under its id: one that is there already stays as it is. */
function keep(string $id, string $body): bool
{
    [$name, $kept] = [INBOX . '/.' . bin2hex(random_bytes(16)), INBOX . "/$id.json"];
    $file = fopen($name, 'xb');
    $written = $file && fwrite($file, $body) === strlen($body) && fsync($file);
    $done = $written && (@link($name, $kept) || file_exists($kept));
    @unlink($name);
    return $done;
}

function receive(): int
{
    $verify = ['/webhooks' => 'signed_now', '/webhooks/simple' => 'signed'][$_SERVER['REQUEST_URI']] ?? null;
    if ($_SERVER['REQUEST_METHOD'] !== 'POST' || $verify === null) {
        return 404;
    }
    $body = file_get_contents('php://input', length: BYTES_MAX + 1); // the bytes as they came: nothing is parsed yet
    if (strlen($body) > BYTES_MAX) {
        return 413;
    }
    $id = $verify($body);
    if ($id === null || !preg_match('/\A[0-9A-Za-z_-]{1,64}\z/', $id)) {
        return 401;
    }
    return keep($id, $body) ? 204 : 500; // after a 500 Deptex will try again
}

if (!is_dir(INBOX)) {
    @mkdir(INBOX, 0700, true);
}
http_response_code(receive());
