"""The three promises: what is bad about each, in how many windows it is measured, and when it burns.

The alerts are those of the SRE workbook: over a long window, so that it matters, and over a twelfth of
it, so that it still goes on.
"""

WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
MONTH = "30d"

# (times the budget, long window, short window): 2 % of a month's budget in an hour, 5 % in six hours;
# 10 % in a day or in three.
FAST = [(14.4, "1h", "5m"), (6, "6h", "30m")]
SLOW = [(3, "1d", "2h"), (1, "3d", "6h")]


def share(bad, all_of):
    """Zero where nothing bad was ever counted; nothing where nothing happened."""
    return f"(sum(rate({bad}[WINDOW])) or 0 * sum(rate({all_of}[WINDOW]))) / sum(rate({all_of}[WINDOW]))"


def later_than(metric, seconds):
    """Of live deliveries: retries and replays may take their time."""
    in_time = f'sum(rate({metric}_bucket{{class="live", le="{seconds}"}}[WINDOW]))'
    return f'1 - {in_time} / sum(rate({metric}_count{{class="live"}}[WINDOW]))'


# An event that was not taken, or a call that failed before its events were counted: the worse of both.
NOT_ACCEPTED = f"""max(
  label_replace({share('relay_events_recorded_total{outcome="unavailable"}', 'relay_events_recorded_total')}, "of", "events", "", "")
  or
  label_replace({share('relay_http_requests_total{surface="ingest", status="5xx"}', 'relay_http_requests_total{surface="ingest"}')}, "of", "calls", "", "")
)"""

# name, alert, promise, budget, bad share, what happened to the share of them
PROMISES = [
    (
        "accepting",
        "RelayAccepting",
        "99.95 % of events are taken",
        0.0005,
        NOT_ACCEPTED,
        "of the events, or of the calls that bring them, were not taken",
    ),
    (
        "freshness",
        "RelayFreshness",
        "99.5 % of live deliveries are under way within 5 s of being due",
        0.005,
        later_than("relay_delivery_lag_seconds", 5),
        "of the live deliveries waited for longer than 5 s to be taken up",
    ),
    (
        "delivery",
        "RelayDelivery",
        "99 % of what is taken at the first attempt arrives within 30 s",
        0.01,
        later_than("relay_delivery_seconds", 30),
        "of what was taken at the first attempt arrived later than 30 s after it was recorded",
    ),
]


def ratio(name, window):
    return f"relay:{name}_bad:ratio_rate{window}"


def recording(name, bad, window):
    lines = "\n".join(f"          {line}" for line in bad.replace("WINDOW", window).splitlines())
    return f"      - record: {ratio(name, window)}\n        expr: |\n{lines}\n"


def alert(name, title, promise, budget, what, speed, pairs, severity):
    def burns(times, long, short):
        limit = f"{times * budget:g}"
        return f"({ratio(name, long)} > {limit} and {ratio(name, short)} > {limit})"

    expression = "\n          or\n          ".join(burns(*pair) for pair in pairs)
    windows = " or ".join(long for _, long, _ in pairs)
    return f"""\
      - alert: {title}Burns{speed}
        expr: |
          {expression}
        for: 1m
        labels: {{ severity: {severity}, slo: {name} }}
        annotations:
          summary: "{promise}: the budget burns {speed.lower()}"
          description: "{{{{ $value | humanizePercentage }}}} {what} over {windows}; {budget * 100:g} % may."
          runbook_url: docs/alerts.md#{title.lower()}burns{speed.lower()}
"""


def render():
    parts = ["# Written by dashboards/build.py from slo.py: the promises, measured and watched.\ngroups:\n"]
    for name, _, promise, _, bad, _ in PROMISES:
        parts.append(f"  # {promise}.\n  - name: relay-slo-{name}\n    rules:\n")
        parts.extend(recording(name, bad, window) for window in WINDOWS)
        parts.append(f"  - name: relay-slo-{name}-month\n    interval: 5m\n    rules:\n")
        parts.append(recording(name, bad, MONTH))
    parts.append("  - name: relay-slo-alerts\n    rules:\n")
    for name, title, promise, budget, _, what in PROMISES:
        parts.append(alert(name, title, promise, budget, what, "Fast", FAST, "critical"))
        parts.append(alert(name, title, promise, budget, what, "Slowly", SLOW, "warning"))
    return "".join(parts)
