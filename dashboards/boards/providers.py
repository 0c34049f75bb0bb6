"""How each provider answers, and what is ours to repair there."""

from grafana import board, graph, label_variable, quantiles, rate, row

CHOSEN = '{provider=~"$provider"}'

BOARD = board(
    "Relay: providers",
    "For who asks whether it is us, one provider, or one customer.",
    row(
        "Answers",
        graph("Attempts", "reqps", "HTTP requests made, by provider.",
              rate("relay_attempts_total", "provider", CHOSEN)),
        graph("Classes", "reqps", "How they were answered. dns or connect for everybody: it is our network.",
              rate("relay_attempts_total", "class", CHOSEN)),
        graph("Share that fails", "percentunit", "Attempts that were not answered 2xx, by provider.",
              ('sum by (provider) (rate(relay_attempts_total{provider=~"$provider", class!="success"}[$__rate_interval]))'
               ' / sum by (provider) (rate(relay_attempts_total{provider=~"$provider"}[$__rate_interval]))',
               "{{provider}}")),
        graph("Duration of an exchange", "s", "Slowest one in a hundred.",
              *quantiles("relay_attempt_seconds", "provider", CHOSEN, of=(0.99,))),
        graph("Recorded to delivered", "s", "Taken at the first attempt; slowest one in a hundred.",
              *quantiles("relay_delivery_seconds", "provider", '{provider=~"$provider", class="live"}', of=(0.99,)), limit=30),
        graph("Verdicts", "ops", "What the answers meant. Many reauth or wrong_destination of one provider: look there.",
              rate("relay_verdicts_total", "verdict", CHOSEN)),
    ),
    row(
        "Limits and tokens",
        graph("Waits for a turn", "ops", "Deliveries that waited for the provider's own limits.",
              rate("relay_pace_waits_total", "provider", CHOSEN)),
        graph("Tokens", "ops", "Renewed or minted, or not. not_stored: those connections may have to be connected again.",
              rate("relay_token_refreshes_total", "outcome", CHOSEN)),
        graph("Operator faults", "ops", "Our own registration, setting or key is wrong: all customers are affected.",
              rate("relay_operator_faults_total", "provider", CHOSEN)),
        graph("Returns refused", "ops", "Somebody came back from a consent page and was not let in, by reason.",
              rate("relay_callbacks_refused_total", "reason", CHOSEN), width=24, height=6),
    ),
    variables=[label_variable("provider", "relay_attempts_total")],
)
