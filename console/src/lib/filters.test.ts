// A filter and its URL are the same thing twice.
import { describe, expect, it } from "vitest";

import {
  askFilter,
  deliveriesLink,
  DELIVERY_FILTERS,
  EVENT_FILTERS,
  filtersSet,
  readFilter,
  writeFilter,
  type DeliveryFilter,
} from "./filters";

const read = (query: string) => readFilter(DELIVERY_FILTERS, new URLSearchParams(query));
const write = (filter: DeliveryFilter) => writeFilter(DELIVERY_FILTERS, filter).toString();

describe("the filter of deliveries", () => {
  const whole: DeliveryFilter = {
    status: ["dead", "parked"],
    provider: "slack",
    connection_id: "01a2051d-0c27-7cfb-adc0-1860bd190f8d",
    event_id: "01a2051d-0c27-7cfb-adc0-000000000000",
    event: "vulnerability.found",
    subject: "CVE-2026-1 & co = ünïcode",
    error_class: "http_5xx",
    external_id: "SEC-12",
    class: "replay",
    range: "24h",
  };

  it("comes back from its URL as it went", () => {
    expect(read(write(whole))).toEqual(whole);
    const period: DeliveryFilter = { status: [], since: "2026-11-23T00:00:00.000Z", until: "2026-11-24T00:00:00.000Z" };
    expect(read(write(period))).toEqual(period);
  });

  it("leaves nothing in the URL when nothing is set", () => {
    expect(write({ status: [] })).toBe("");
    expect(read("")).toEqual({ status: [] });
    expect(read("status=&provider=")).toEqual({ status: [] });
  });

  it("has one URL, however it was put together", () => {
    expect(write({ status: ["parked", "dead"] })).toBe(write({ status: ["dead", "parked"] }));
    expect(read("status=dead&status=dead").status).toEqual(["dead"]);
  });

  it("passes over what is not its own, and over instants that are none", () => {
    expect(read("tab=live&since=yesterday&range=2h")).toEqual({ status: [] });
  });

  it("keeps one kind of period: a named range hides the instants", () => {
    expect(read("range=1h&since=2026-11-23T00:00:00Z")).toEqual({ status: [], range: "1h" });
    expect(write({ ...whole, since: "2026-11-23T00:00:00.000Z" })).not.toContain("since");
  });

  it("trims what was typed", () => {
    expect(write({ status: [], subject: "  CVE-1 " })).toBe("subject=CVE-1");
    expect(write({ status: [], subject: "   " })).toBe("");
  });

  it("asks the API for instants, not for names of ranges", () => {
    const now = Date.parse("2026-11-23T12:00:00Z");
    const asked = askFilter(DELIVERY_FILTERS, whole, now);
    expect(asked.get("since")).toBe("2026-11-22T12:00:00.000Z");
    expect(asked.has("range")).toBe(false);
    expect(asked.getAll("status")).toEqual(["dead", "parked"]);
  });

  it("counts what is set, a period as one", () => {
    expect(filtersSet(DELIVERY_FILTERS, { status: [] })).toBe(0);
    expect(filtersSet(DELIVERY_FILTERS, whole)).toBe(10);
    expect(
      filtersSet(DELIVERY_FILTERS, { status: [], since: "2026-11-23T00:00:00Z", until: "2026-11-24T00:00:00Z" }),
    ).toBe(1);
  });

  it("makes links", () => {
    expect(deliveriesLink({})).toBe("deliveries");
    expect(deliveriesLink({ status: ["dead"], range: "24h" })).toBe("deliveries?status=dead&range=24h");
  });
});

describe("the filter of events", () => {
  it("has names of its own", () => {
    const params = new URLSearchParams("type=a.b&status=dead&project_id=p&range=7d");
    const filter = readFilter(EVENT_FILTERS, params);
    expect(filter).toEqual({ type: "a.b", project_id: "p", range: "7d" });
    expect(writeFilter(EVENT_FILTERS, filter).toString()).toBe("type=a.b&project_id=p&range=7d");
  });
});
