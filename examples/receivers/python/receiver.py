"""Receives webhooks of Deptex: verifies them, keeps each once, answers. The work is done elsewhere, from INBOX."""

import base64
import hashlib
import hmac
import json
import os
import re
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRETS = os.environ["DEPTEX_SECRETS"].split()  # two of them while you change over
INBOX = os.environ.get("INBOX", "inbox")
SECONDS_MAX = 5 * 60  # between our clock and theirs
BYTES_MAX = 1024 * 1024


def signed_now(headers, body: bytes) -> str | None:
    """Standard Webhooks: the delivery's id, if one of our secrets signed id, time and body just now."""
    delivery_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not re.fullmatch("[0-9]{1,12}", sent_at) or abs(time.time() - int(sent_at)) > SECONDS_MAX:
        return None
    signed = f"{delivery_id}.{sent_at}.".encode() + body
    given = [one.encode() for one in headers.get("webhook-signature", "").split(" ")]
    for secret in SECRETS:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        if any(hmac.compare_digest(one, expected) for one in given):
            return delivery_id
    return None


def signed(headers, body: bytes) -> str | None:
    """X-Deptex-Signature covers the body alone: the id must be the one in there, and no time is known."""
    given = headers.get("x-deptex-signature", "").encode()
    for secret in SECRETS:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        if hmac.compare_digest(given, f"sha256={digest}".encode()):
            return json.loads(body).get("delivery_id", "test")
    return None


def keep(delivery_id: str, body: bytes) -> None:
    """Whole or not at all, and under its id: one that is there already stays as it is."""
    with tempfile.NamedTemporaryFile(dir=INBOX, prefix=".") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, f"{INBOX}/{delivery_id}.json")
        except FileExistsError:
            pass


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        verify = {"/webhooks": signed_now, "/webhooks/simple": signed}.get(self.path)
        length = self.headers.get("content-length", "0")
        if verify is None:
            return self.answer(404)
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > BYTES_MAX:
            return self.answer(413)
        body = self.rfile.read(int(length))  # the bytes as they came: nothing is parsed yet
        delivery_id = verify(self.headers, body)
        if delivery_id is None or not re.fullmatch("[0-9A-Za-z_-]{1,64}", delivery_id):
            return self.answer(401)
        keep(delivery_id, body)
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


if __name__ == "__main__":
    os.makedirs(INBOX, exist_ok=True)
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Receiver).serve_forever()
