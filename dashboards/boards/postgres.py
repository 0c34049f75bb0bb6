"""The database and the outbox in it."""

from grafana import board, graph, quantiles, rate, row

BOARD = board(
    "Relay: Postgres and outbox",
    "For who asks whether the database is slow, full, or kept from cleaning up.",
    row(
        "Reaching it",
        graph("Answers", "none", "1: the process reaches its database.",
              ("relay_database_up", "{{instance}}")),
        graph("Connections used", "percentunit", "Of as many as the pool may have. The one that listens is left out.",
              ('relay_database_connections{state="used", pool!="listening"} / on (job, instance, pool) group_left () relay_database_connections_max',
               "{{instance}} {{pool}}"), limit=1),
        graph("Statements repeated", "ops", "Because the database was away, by statement.",
              rate("relay_database_retries_total", "statement")),
    ),
    row(
        "Writing events",
        graph("Duration of a group commit", "s", "A slow disk shows here first.",
              *quantiles("relay_ingest_commit_seconds")),
        graph("Events in a group commit", "short", "More come together when commits are slow.",
              *quantiles("relay_ingest_commit_rows")),
        graph("Events that wait for a commit", "short", "When the last call came in.",
              ("relay_ingest_queue_events", "{{instance}}")),
        graph("WAL", "Bps", "What the whole server writes ahead.",
              ("max(rate(relay_postgres_wal_bytes[$__rate_interval]))", "written"), width=12),
        graph("WAL for each delivery", "bytes", "All that the server writes, over all deliveries settled.",
              ("max(rate(relay_postgres_wal_bytes[$__rate_interval])) / sum(rate(relay_settlements_total[$__rate_interval]))",
               "bytes"), width=12),
    ),
    row(
        "Staying small",
        graph("Dead rows", "short", "Not yet swept, by table. More than the live ones: something keeps them.",
              ("max by (table) (relay_postgres_dead_rows)", "{{table}}")),
        graph("Live rows", "short", "By table, as Postgres estimates them.",
              ("max by (table) (relay_postgres_live_rows)", "{{table}}")),
        graph("Oldest snapshot", "s", "Dead rows younger than this cannot be swept; by who holds it.",
              ("max by (holder) (relay_postgres_oldest_snapshot_seconds)", "{{holder}}"), limit=300),
        graph("Outbox", "short", "Deliveries promised and not settled, by class.",
              ("max by (class) (relay_outbox_deliveries)", "{{class}}"), stacked=True),
        graph("Duration of a claim", "s", "Grows with dead rows.", *quantiles("relay_claim_seconds")),
        graph("Statistics behind", "s", "For how long something may have been recorded that no statistics count.",
              ("max(relay_statistics_lag_seconds)", "behind"), limit=60),
    ),
    row(
        "Partitions",
        graph("Days ahead", "d", "For how many days to come each table has partitions.",
              ("min by (table) (relay_partitions_ahead_days)", "{{table}}"), width=12),
        graph("Rows outside any day", "short", "In default partitions: there should be none.",
              ("max by (table) (relay_default_partition_rows)", "{{table}}"), width=12),
    ),
)
