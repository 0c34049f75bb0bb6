"""Judges requests, given as JSON on standard input, with the published libraries and by hand."""

import base64
import binascii
import hashlib
import hmac
import json
import sys

import standardwebhooks
import svix.webhooks


# The function of the integrations guide, as it is printed there.
def verify_signature(payload: bytes, signature: str, secret: str) -> bool:
    expected = "sha256=" + hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)


def accepts(verify) -> bool:
    try:
        verify()
    except (
        standardwebhooks.webhooks.WebhookVerificationError,
        svix.webhooks.WebhookVerificationError,
        binascii.Error,  # what is not base64 is told by an error of its own
    ):
        return False
    return True


verdicts = []
for case in json.load(sys.stdin):
    body = base64.b64decode(case["body"])
    headers, secret = case["headers"], case["secret"]
    official = standardwebhooks.Webhook(secret)
    vendor = svix.webhooks.Webhook(secret)
    verdicts.append(
        {
            "standardwebhooks": accepts(lambda: official.verify(body, headers)),
            "svix": accepts(lambda: vendor.verify(body, headers)),
            "guide": verify_signature(body, headers["x-deptex-signature"], secret),
        }
    )
print(json.dumps(verdicts))
