"""Whether all is well, and where to look when it is not."""

from grafana import board, graph, quantiles, rate, row, stat, table

DOWN_UP = [{"type": "value", "options": {"0": {"text": "down"}, "1": {"text": "up"}}}]
BUDGETS = {"accepting": 0.0005, "freshness": 0.005, "delivery": 0.01}


def kept(name, title, about):
    """How much of a promise was kept, and how much of its budget is left."""
    allowed = BUDGETS[name]
    colours = [("red", None), ("orange", 1 - 2 * allowed), ("green", 1 - allowed)]
    return stat(title, "percentunit", about, f"1 - relay:{name}_bad:ratio_rate30d", colours, width=4)


def burn(window):
    lines = [
        (f"relay:{name}_bad:ratio_rate{window} / {allowed:g}", name)
        for name, allowed in BUDGETS.items()
    ]
    about = (
        "How fast each budget burns: at 1 it lasts the 30 days exactly. Above 14.4 over an hour, or 6 over "
        "six hours, somebody is called."
    )
    return graph(f"Burn rate over {window}", "none", about, *lines, limit=14.4 if window == "1h" else 6)


BOARD = board(
    "Relay: overview",
    "For whoever is on call: are events taken, delivered, and in time?",
    row(
        "Now",
        stat("Alerts firing", "none", "Of Relay's own, information left out.",
             'count(ALERTS{alertname=~"Relay.+", alertstate="firing", severity!="info"}) or vector(0)',
             [("green", None), ("red", 1)]),
        stat("Processes down", "none", "Scraped and silent.",
             'sum(1 - up{job=~"(.+/)?relay"})', [("green", None), ("red", 1)]),
        stat("Database", "none", "As the process that is worst off sees it.",
             "min(relay_database_up)", [("red", None), ("green", 1)], mappings=DOWN_UP),
        stat("Shards owned", "none", "Of 64: each is delivered by one worker.",
             "sum(relay_shards_owned)", [("red", None), ("green", 64)]),
        stat("Oldest due", "s", "How long the oldest live delivery that is due has waited.",
             'max(relay_outbox_oldest_due_seconds{class="live"})',
             [("green", None), ("orange", 10), ("red", 60)]),
        stat("Waiting deliveries", "short", "Promised and not settled, those that wait for an admin left out.",
             'sum(max by (class) (relay_outbox_deliveries{class!="parked"}))'),
    ),
    row(
        "Promises",
        kept("accepting", "Events taken, 30 days", "99.95 % are promised."),
        kept("freshness", "Under way within 5 s, 30 days", "Live deliveries; 99.5 % are promised."),
        kept("delivery", "Arrived within 30 s, 30 days", "Of what was taken at the first attempt; 99 % are promised."),
        table("Alerts firing or pending", "none", "What docs/alerts.md explains.",
              ('sum by (alertname, severity, alertstate) (ALERTS{alertname=~"Relay.+"})', "{{alertname}}"), height=4),
        burn("1h"),
        burn("6h"),
        graph("Budget spent in 30 days", "percentunit", "Above 100 % the promise of the month is broken.",
              *[(f"relay:{name}_bad:ratio_rate30d / {allowed:g}", name)
                for name, allowed in BUDGETS.items()], limit=1),
    ),
    row(
        "Through",
        graph("Events", "ops", "Recorded, and what else became of those that came.",
              rate("relay_events_recorded_total", "outcome")),
        graph("Settlements", "ops", "What became of deliveries.",
              rate("relay_settlements_total", "settlement")),
        graph("Recorded to delivered", "s", "Taken at the first attempt, by all providers.",
              *quantiles("relay_delivery_seconds", where='{class="live"}', of=(0.5, 0.95, 0.99)), limit=30),
        graph("Calls by surface", "reqps", "HTTP requests, health checks among them.",
              rate("relay_http_requests_total", "surface")),
        graph("Answers", "reqps", "HTTP answers by class of status.",
              rate("relay_http_requests_total", "status")),
        graph("Duration of calls", "s", "Slowest one in a hundred, by surface.",
              *quantiles("relay_http_request_seconds", "surface", of=(0.99,))),
    ),
    row(
        "Processes",
        graph("CPU", "percentunit", "1 is one core.",
              ("rate(process_cpu_seconds_total[$__rate_interval])", "{{instance}}")),
        graph("Memory", "bytes", "Resident.", ("process_resident_memory_bytes", "{{instance}}")),
        graph("File descriptors", "percentunit", "Of as many as are allowed.",
              ("process_open_fds / process_max_fds", "{{instance}}"), limit=0.8),
        graph("Versions", "none", "How many processes run which.",
              ("count by (version) (relay_build_info)", "{{version}}"), height=6, width=6),
        graph("Spans", "ops", "Told to the collector of traces, refused by it, or dropped. Only where traces are on.",
              rate("relay_spans_total", "outcome"), height=6, width=6),
        graph("Shards by process", "none", "All together own 64.",
              ("relay_shards_owned", "{{instance}}"), stacked=True, height=6, width=6),
        graph("Shards that move", "ops", "Gained and lost. Without workers coming or going there are none.",
              rate("relay_shards_gained_total"), rate("relay_shards_lost_total"), height=6, width=6),
    ),
)
