"""Replays, and what they cost those that go out for the first time."""

from grafana import board, graph, quantiles, rate, row, stat

BOARD = board(
    "Relay: replay",
    "For who runs a replay, and wants to know that nobody else notices.",
    row(
        "Now",
        stat("Running", "none", "Replays that count or send.",
             'sum(max by (status) (relay_replays{status=~"counting|running"}))', width=6),
        stat("Paused", "none", "They wait until somebody resumes them.",
             'max(relay_replays{status="paused"})', [("green", None), ("orange", 1)], width=6),
        stat("Since one moved", "s", "Of those that run, the one that stands still for longest.",
             "max(relay_replay_progress_age_seconds)", [("green", None), ("red", 300)], width=6),
        stat("To be sent again", "short", "Deliveries of replays in the outbox.",
             'max(relay_outbox_deliveries{class="replay"})', width=6),
    ),
    row(
        "Over time",
        graph("Replays", "none", "By status.", ("max by (status) (relay_replays)", "{{status}}")),
        graph("Sent again", "ops", "Deliveries made due again, and those skipped.",
              rate("relay_replayed_total", "outcome")),
        graph("Outbox", "short", "Replayed deliveries beside the live ones.",
              ('max by (class) (relay_outbox_deliveries{class=~"live|replay"})', "{{class}}")),
        graph("Oldest due", "s", "A replay may wait, live deliveries may not.",
              ('max by (class) (relay_outbox_oldest_due_seconds{class=~"live|replay"})', "{{class}}"), width=12),
        graph("Due to under way", "s", "Of live deliveries, beside the replay.",
              *quantiles("relay_delivery_lag_seconds", where='{class="live"}'), limit=5, width=12),
    ),
)
