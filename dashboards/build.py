#!/usr/bin/env python3
"""Writes grafana/*.json from boards/, and prometheus/rules/slo.yml from slo.py.

    dashboards/build.py            writes them
    dashboards/build.py --check    tells which are not what it would write, and fails
"""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import grafana  # noqa: E402
import slo  # noqa: E402
from boards import connections, deliveries, overview, postgres, providers, replay  # noqa: E402

BOARDS = [overview, deliveries, providers, connections, postgres, replay]


def generated():
    for module in BOARDS:
        name = module.__name__.rpartition(".")[2]
        yield HERE / "grafana" / f"{name}.json", grafana.render(name, module.BOARD)
    yield HERE / "prometheus/rules/slo.yml", slo.render()


def main():
    check = sys.argv[1:] == ["--check"]
    stale = []
    for path, text in generated():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.relative_to(HERE))
        if not check:
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path}: {'is not what build.py says' if check else 'written'}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
