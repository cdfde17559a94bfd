"""Verifies what was signed, with the Python library of the Standard Webhooks project.

Reads one JSON object from stdin: `headers`, `body`, `accepted` (secrets that must verify it), `refused` (secrets that
must not). Ends with 0 if everything is as it says.
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

given = json.load(sys.stdin)
headers, body = given["headers"], given["body"]

for secret in given["accepted"]:
    assert Webhook(secret).verify(body, headers) == json.loads(body), "another body came out"

for secret in given["refused"]:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        continue
    raise AssertionError("a secret verified what it had not signed")

for damaged in (body + " ", body.replace("1", "2", 1)):
    try:
        Webhook(given["accepted"][0]).verify(damaged, headers)
    except WebhookVerificationError:
        continue
    raise AssertionError("a damaged body was verified")
