//! A real Prometheus and a real Alertmanager that watch a world with the rules of this repository, made
//! impatient.
//!
//! For them time passes [`FASTER`] times as fast: every span in the rules (`[5m]`, `offset 1h`,
//! `for: 2m`, `interval: 5m`) is divided by it, and so is every number that a gauge of seconds is compared
//! with, down to [`SECONDS_MIN`]. The expressions are otherwise those that are deployed.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tests::{Process, Receiver, World, free_port, wait_until};
use tokio::process::{Child, Command};

use super::{files, list, program, read, root, text};

/// How much faster the rules' time passes.
const FASTER: u32 = 30;
/// Gauges are read every ten seconds: a limit below that would be passed by what is well.
const SECONDS_MIN: u32 = 10;
/// More than anything that is waited for here takes on a machine that is busy with other tests.
const VERY_LONG: Duration = Duration::from_secs(120);
/// Where Alertmanager tells of alerts, before the name of who is told.
const TOLD: &str = "/told/";

/// The two, and where they keep what they know.
pub(super) struct Watch {
    prometheus: String,
    http: reqwest::Client,
    folder: PathBuf,
    /// What Alertmanager tells.
    told: Receiver,
    _children: [Child; 2],
}

impl Watch {
    /// Starts both over all processes of a world.
    pub(super) async fn start(world: &World) -> Self {
        let folder = std::env::temp_dir().join(format!("relay-watch-{}", tests::new_id()));
        std::fs::create_dir_all(folder.join("rules"))
            .expect("the temporary directory can be written");
        let address = || format!("127.0.0.1:{}", free_port());
        let (prometheus, alertmanager) = (address(), address());
        let receiver = Receiver::start().await;
        for file in files("prometheus/rules", "yml") {
            let name = file.file_name().expect("a file has a name");
            write(&folder.join("rules").join(name), &faster(&read(&file)));
        }
        let config = read(&root().join("dashboards/prometheus/alertmanager.yml"));
        write(&folder.join("alertmanager.yml"), &told(&faster(&config), &receiver.url(TOLD)));
        write(&folder.join("prometheus.yml"), &scraping(world, &alertmanager));
        let at = |name: &str| folder.join(name).to_str().expect("a plain path").to_owned();
        let started = |name: &str, arguments: &[String]| {
            let log = std::fs::File::create(folder.join(format!("{name}.log")))
                .expect("a log can be written");
            let program = program(name);
            // The unpacked Alertmanager looks for its templates here.
            let home = program.ancestors().nth(2).expect("it lies in bin/");
            Command::new(&program)
                .args(arguments)
                .current_dir(home)
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a file can be had twice"))
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
                .expect("it can be run")
        };
        let children = [
            started(
                "alertmanager",
                &[
                    format!("--config.file={}", at("alertmanager.yml")),
                    format!("--storage.path={}", at("alertmanager")),
                    "--cluster.listen-address=".to_owned(),
                    format!("--web.listen-address={alertmanager}"),
                ],
            ),
            started(
                "prometheus",
                &[
                    format!("--config.file={}", at("prometheus.yml")),
                    format!("--storage.tsdb.path={}", at("prometheus")),
                    format!("--web.listen-address={prometheus}"),
                ],
            ),
        ];
        let http = reqwest::Client::new();
        let watch = Self { prometheus, http, folder, told: receiver, _children: children };
        for address in [&watch.prometheus, &alertmanager] {
            let ready = format!("http://{address}/-/ready");
            wait_until(&format!("{ready} to answer"), VERY_LONG, || async {
                let answer = watch.http.get(&ready).send().await;
                answer.is_ok_and(|answer| answer.status() == 200).then_some(())
            })
            .await;
        }
        watch
    }

    /// What an expression gives now.
    pub(super) async fn query(&self, expression: &str) -> Vec<Value> {
        self.ask("query", &[("query", expression)]).await
    }

    /// What an expression gave over a time in seconds since 1970.
    pub(super) async fn query_range(
        &self,
        expression: &str,
        (from, to): (i64, i64),
        step: u32,
    ) -> Vec<Value> {
        let (from, to, step) = (from.to_string(), to.to_string(), step.to_string());
        let query = [("query", expression), ("start", &from), ("end", &to), ("step", &step)];
        self.ask("query_range", &query).await
    }

    async fn ask(&self, what: &str, query: &[(&str, &str)]) -> Vec<Value> {
        let url = format!("http://{}/api/v1/{what}", self.prometheus);
        let url = url::Url::parse_with_params(&url, query).expect("an address");
        let answer = self.http.get(url).send().await.expect("Prometheus answers");
        let body: Value = answer.json().await.expect("in JSON");
        assert_eq!(body["status"], "success", "{query:?}: {body}");
        list(&body["data"], "result").to_vec()
    }

    /// The alerts that fire now, by their names.
    pub(super) async fn firing(&self) -> Vec<String> {
        let found = self.query(r#"ALERTS{alertstate="firing"}"#).await;
        let mut names: Vec<String> =
            found.iter().map(|alert| text(&alert["metric"], "alertname").to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Waits until Alertmanager has told `who` that an alert fires.
    pub(super) async fn fires(&self, alert: &str, who: &str) -> Value {
        self.wait_told(alert, who, "firing").await
    }

    /// Waits until Alertmanager has told `who` that an alert, which fired, is over.
    pub(super) async fn resolves(&self, alert: &str, who: &str) {
        self.wait_told(alert, who, "resolved").await;
    }

    /// How often anybody was told that an alert fires.
    pub(super) fn times_told(&self, alert: &str) -> usize {
        let told = self.told.all().into_iter();
        let told = told.map(|arrival| arrival.json());
        let fires = |told: &Value| told["status"] == "firing";
        told.filter(|told| fires(told) && told["groupLabels"]["alertname"] == alert).count()
    }

    /// What was told last of an alert, once it is this.
    async fn wait_told(&self, alert: &str, who: &str, status: &str) -> Value {
        let path = format!("{TOLD}{who}");
        let last = || {
            let told = self.told.arrivals(&path).into_iter().rev();
            let mut told = told.map(|arrival| arrival.json());
            told.find(|told| told["groupLabels"]["alertname"] == alert)
        };
        let until = Instant::now() + VERY_LONG;
        loop {
            let told = last();
            if let Some(told) = told.as_ref().filter(|told| told["status"] == status) {
                return told.clone();
            }
            if until < Instant::now() {
                let firing = self.firing().await;
                panic!(
                    "{alert} is not {status} for {who}; firing: {firing:?}; last told: {told:?}"
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["prometheus", "alertmanager"] {
                let log = self.folder.join(format!("{name}.log"));
                let log = std::fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(10).collect();
                println!("--- the end of {name}'s log, backwards\n{}", lines.join("\n"));
            }
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// A configuration as deploy/prometheus.yml is one, for processes whose addresses are known.
fn scraping(world: &World, alertmanager: &str) -> String {
    let target = |process: &Process, kind: &str| {
        let labels = json!({ "instance": process.name, "process": kind });
        json!({ "targets": [process.metrics_address()], "labels": labels })
    };
    let apis = world.apis.iter().map(|process| target(process, "api"));
    let workers = world.workers.iter().map(|process| target(process, "workers"));
    let targets: Vec<Value> = apis.chain(workers).collect();
    let alertmanagers = json!([{ "static_configs": [{ "targets": [alertmanager] }] }]);
    // JSON is YAML.
    json!({
        "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
        "rule_files": ["rules/*.yml"],
        "alerting": { "alertmanagers": alertmanagers },
        "scrape_configs": [{ "job_name": "relay", "static_configs": targets }],
    })
    .to_string()
}

/// Adds an address to each receiver of Alertmanager: that of a test, by the receiver's name.
fn told(config: &str, url: &str) -> String {
    let mut lines = Vec::new();
    for line in config.lines() {
        lines.push(line.to_owned());
        if let Some(name) = line.strip_prefix("  - name: ") {
            lines.push(format!("    webhook_configs: [{{ url: \"{url}{name}\" }}]"));
        }
    }
    lines.join("\n")
}

/// Lines that are read by people, or name what a rule makes.
const PROSE: [&str; 5] = ["#", "summary:", "description:", "runbook_url:", "- record:"];

/// The same rules, or configuration, for a time that passes [`FASTER`] times as fast.
fn faster(text: &str) -> String {
    let is_prose = |line: &str| PROSE.iter().any(|begin| line.trim_start().starts_with(begin));
    let line = |line: &str| match is_prose(line) {
        true => format!("{line}\n"),
        false => faster_spans(&faster_seconds(line)) + "\n",
    };
    text.lines().map(line).collect()
}

/// Divides every span that stands alone: after `[` or a space.
fn faster_spans(line: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = rest[digits..].chars().next().unwrap_or(' ');
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => 0,
        };
        let ends = rest[digits..].chars().nth(1).is_none_or(|c| !c.is_ascii_alphanumeric());
        if digits > 0 && seconds > 0 && ends && ['[', ' '].contains(&before) {
            let count: u64 = rest[..digits].parse().expect("digits are a number");
            out.push_str(&format!("{}ms", count * seconds * 1000 / u64::from(FASTER)));
            rest = &rest[digits + 1..];
            before = unit;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            before = first;
        }
    }
    out
}

/// Divides what a gauge of seconds is compared with.
fn faster_seconds(line: &str) -> String {
    let is_gauge = |name: &str| {
        engine::metrics::all().any(|metric| {
            metric.name == name
                && metric.kind == engine::metrics::Kind::Gauge
                && name.ends_with("_seconds")
        })
    };
    let mut names = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let Some((query, rest)) = line.split_once("> ").filter(|_| names.any(is_gauge)) else {
        return line.to_owned();
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let limit: u32 = rest[..digits].parse().unwrap_or_else(|_| panic!("no number in {line}"));
    format!("{query}> {}{}", (limit / FASTER).max(SECONDS_MIN), &rest[digits..])
}

#[test]
fn only_spans_and_seconds_are_made_shorter() {
    for (rule, is) in [
        ("        for: 1m", "        for: 2000ms"),
        ("    interval: 5m", "    interval: 10000ms"),
        (
            "sum(rate(relay_dead_total[15m] offset 1h))",
            "sum(rate(relay_dead_total[30000ms] offset 120000ms))",
        ),
        ("(relay:x:ratio_rate1h > 0.0072)", "(relay:x:ratio_rate1h > 0.0072)"),
        (
            "expr: max(relay_statistics_lag_seconds) > 60",
            "expr: max(relay_statistics_lag_seconds) > 10",
        ),
        (
            r#"expr: max(relay_outbox_oldest_due_seconds{class="live"}) > 60"#,
            r#"expr: max(relay_outbox_oldest_due_seconds{class="live"}) > 10"#,
        ),
        (
            "expr: sum(increase(relay_leases_lost_total[15m])) > 10",
            "expr: sum(increase(relay_leases_lost_total[30000ms])) > 10",
        ),
        (
            r#"          description: "not within 15 minutes or 5m""#,
            r#"          description: "not within 15 minutes or 5m""#,
        ),
        ("      - record: relay:x:ratio_rate5m", "      - record: relay:x:ratio_rate5m"),
        (r#"{le="5"}[5m]"#, r#"{le="5"}[10000ms]"#),
        ("  group_wait: 30s", "  group_wait: 1000ms"),
        ("  resolve_timeout: 5m", "  resolve_timeout: 10000ms"),
        ("receiver: page, repeat_interval: 1h }", "receiver: page, repeat_interval: 120000ms }"),
    ] {
        assert_eq!(faster(rule), format!("{is}\n"), "{rule}");
    }
}
