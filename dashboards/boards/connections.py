"""How many connections are in trouble, and of which kind; one of them is to be seen in the console."""

from grafana import board, graph, rate, row, stat, text, text_variable

ONE = """\
Prometheus does not know single connections: no label is an id, so that ten thousand customers cost no more than
ten. **One connection** is looked at where its events are:

- [in the console]($console/console/organizations/$organization/connections/$connection) (put its ids in the
  boxes above): health, deliveries per hour, its history as of any moment, and which events would match;
- `relay connections list --organization <uuid>` and `relay deliveries --organization <uuid> --status dead`;
- `select * from relay.connection_health order by failing_since` lists all that are in trouble.

Here is how many there are, and why.
"""

BOARD = board(
    "Relay: one connection, and all of them",
    "For who asks how many customers are affected, and where to look at one.",
    row("One connection", text("Where to look", "What Prometheus can and cannot tell.", ONE)),
    row(
        "Now",
        stat("Failing", "none", "Connections that took nothing since they last failed.",
             "max(relay_connections_failing)", [("green", None), ("orange", 1), ("red", 20)], width=6),
        stat("Held", "none", "Their receivers asked us to wait.",
             "max(relay_connections_held)", [("green", None), ("orange", 1)], width=6),
        stat("Breakers open", "none", "They failed so much that only a probe goes there now and then.",
             "max(relay_breakers_open)", [("green", None), ("orange", 1)], width=6),
        stat("Switched off in a day", "none", "By Relay, for failing too long or because the receiver is gone.",
             "sum(increase(relay_connections_disabled_total[1d])) or vector(0)",
             [("green", None), ("orange", 1)], width=6),
    ),
    row(
        "Over time",
        graph("In trouble", "none", "Every worker counts all of them: the largest is shown.",
              ("max(relay_connections_failing)", "failing"), ("max(relay_connections_held)", "held"),
              ("max(relay_breakers_open)", "breaker open")),
        graph("Breakers opened", "ops", "Opened, or stayed open after a probe.",
              rate("relay_breakers_opened_total")),
        graph("Holds", "ops", "Receivers that asked for patience, by how they did.",
              rate("relay_holds_total", "reason")),
        graph("Switched off", "none", "In the last hour, by reason.",
              ("sum by (reason) (increase(relay_connections_disabled_total[1h]))", "{{reason}}")),
        graph("Parked deliveries", "ops", "They wait until somebody sets their connection right, by reason.",
              rate("relay_parked_total", "reason")),
        graph("Dead deliveries", "ops", "By reason.", rate("relay_dead_total", "reason")),
    ),
    variables=[
        text_variable("console", "Address of the API", "http://localhost:3001"),
        text_variable("organization", "Organization", ""),
        text_variable("connection", "Connection", ""),
    ],
)
