"""The form of a dashboard as Grafana reads it; what stands on one is in boards/."""

import json
import string

WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def board(title, about, *rows, variables=()):
    """A dashboard: rows of panels. `about` says whose question it answers."""
    return {"title": title, "about": about, "rows": rows, "variables": list(variables)}


def row(title, *panels):
    """Panels side by side; those that do not fit go below."""
    return title, panels


def graph(title, unit, about, *lines, width=8, height=8, stacked=False, limit=None):
    """Lines over time. A line is an expression, or a pair of it and its legend."""
    custom = {"lineWidth": 1, "fillOpacity": 20 if stacked else 8, "showPoints": "never"}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    defaults = {"unit": unit, "min": 0, "custom": custom}
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "line"}
        defaults["thresholds"] = steps([("green", None), ("red", limit)])
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, about, lines, width, height, defaults, options)


def stat(title, unit, about, line, colours=(("green", None),), width=4, height=4, mappings=()):
    """One number, coloured by the steps that it reaches."""
    defaults = {"unit": unit, "thresholds": steps(colours), "mappings": list(mappings)}
    options = {
        "colorMode": "value",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel("stat", title, about, [line], width, height, defaults, options)


def table(title, unit, about, line, width=12, height=8):
    """What there is now, a line each."""
    made = panel("table", title, about, [line], width, height, {"unit": unit}, {"showHeader": True})
    for target in made["targets"]:
        target |= {"format": "table", "instant": True}
    hidden = {"Time": True, "__name__": True, "job": True}
    made["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return made


def text(title, about, content, width=24, height=6):
    """Words in Markdown."""
    return {
        "type": "text",
        "title": title,
        "description": about,
        "gridPos": {"w": width, "h": height},
        "options": {"mode": "markdown", "content": content},
    }


def quantiles(metric, by="", where="", of=(0.5, 0.99)):
    """A line for each quantile of a histogram."""
    labels = f"le, {by}" if by else "le"
    legend = f"{{{{{by}}}}} p" if by else "p"
    return [
        (
            f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{where}"
            f"[$__rate_interval])))",
            f"{legend}{q * 100:g}",
        )
        for q in of
    ]


def rate(metric, by="", where=""):
    """How often a second, by a label."""
    grouped = f"sum by ({by}) " if by else "sum"
    plain = metric.removeprefix("relay_").removesuffix("_total").replace("_", " ")
    legend = f"{{{{{by}}}}}" if by else plain
    return f"{grouped}(rate({metric}{where}[$__rate_interval]))", legend


def label_variable(name, metric):
    """A choice of one label's values; all of them at first."""
    query = f"label_values({metric}, {name})"
    return {
        "type": "query",
        "name": name,
        "label": name.capitalize(),
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "refresh": 2,
        "sort": 1,
        "current": {"text": "All", "value": "$__all"},
    }


def text_variable(name, label, value):
    """Something to be typed."""
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "query": value,
        "current": {"text": value, "value": value},
    }


def steps(colours):
    return {
        "mode": "absolute",
        "steps": [{"color": colour, "value": value} for colour, value in colours],
    }


def panel(kind, title, about, lines, width, height, defaults, options):
    pairs = [line if isinstance(line, tuple) else (line, title) for line in lines]
    targets = [
        {"refId": ref, "datasource": SOURCE, "expr": expression, "legendFormat": legend}
        for ref, (expression, legend) in zip(string.ascii_uppercase, pairs)
    ]
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def placed(rows):
    """Every panel with its place and number, a line of the grid after the other."""
    found, y = [], 0
    for title, panels in rows:
        found.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        y, x, tallest = y + 1, 0, 0
        for one in panels:
            size = one["gridPos"]
            if WIDTH < x + size["w"]:
                y, x, tallest = y + tallest, 0, 0
            found.append(one | {"gridPos": {"x": x, "y": y} | size})
            x, tallest = x + size["w"], max(tallest, size["h"])
        y += tallest
    return [{"id": number} | one for number, one in enumerate(found, 1)]


def render(name, description):
    source = {"type": "datasource", "name": "datasource", "label": "Source", "query": "prometheus"}
    firing = {
        "name": "Alerts",
        "enable": True,
        "iconColor": "red",
        "datasource": SOURCE,
        "expr": 'ALERTS{alertname=~"Relay.+", alertstate="firing"}',
        "titleFormat": "{{alertname}}",
    }
    others = {"type": "dashboards", "title": "Relay", "tags": ["relay"], "asDropdown": True}
    whole = {
        "uid": f"relay-{name}",
        "title": description["title"],
        "description": description["about"],
        "tags": ["relay"],
        "schemaVersion": 39,
        "editable": False,
        "timezone": "browser",
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "graphTooltip": 1,
        "annotations": {"list": [firing]},
        "links": [others | {"keepTime": True, "includeVars": True}],
        "templating": {"list": [source, *description["variables"]]},
        "panels": placed(description["rows"]),
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
