//! The manifests of Kubernetes: what one names, another one or the binary has.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{assert_settings, drain_seconds, env_file, files, yaml};
use crate::command;

fn manifests() -> Vec<Value> {
    let all: Vec<Value> =
        files("deploy/kubernetes", ".yaml").iter().flat_map(|file| yaml(file)).collect();
    for manifest in &all {
        for field in ["apiVersion", "kind"] {
            assert!(manifest[field].is_string(), "no {field}: {manifest}");
        }
        assert!(manifest["metadata"]["name"].is_string(), "{manifest}");
        if manifest["kind"] != "Namespace" {
            assert_eq!(manifest["metadata"]["namespace"], "relay", "{manifest}");
        }
    }
    all
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let found: Vec<&Value> = all.iter().filter(|one| one["kind"] == kind).collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

fn named<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let of_kind = of_kind(all, kind);
    let found = of_kind.iter().find(|one| one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// What runs: the deployments' and the job's pods.
fn pods(all: &[Value]) -> Vec<(&str, &Value)> {
    let owners = [of_kind(all, "Deployment"), of_kind(all, "Job")].concat();
    owners
        .into_iter()
        .map(|one| (one["metadata"]["name"].as_str().expect("a name"), &one["spec"]["template"]))
        .collect()
}

fn fits(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("labels");
    !wanted.is_empty() && wanted.iter().all(|(name, value)| labels[name] == *value)
}

#[tokio::test]
async fn manifests_set_what_the_binary_reads_and_nothing_is_lacking() {
    let all = manifests();
    let settings = named(&all, "ConfigMap", "relay-settings")["data"].as_object().expect("data");
    let text = |value: &Value| value.as_str().expect("a ConfigMap holds texts").to_owned();
    let mut environment: BTreeMap<String, String> =
        settings.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let secrets = env_file("deploy/kubernetes/secrets.env.example");
    for set in [&environment, &secrets] {
        let set = set.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        assert_settings("deploy/kubernetes", set).await;
    }
    for (_, template) in pods(&all) {
        let from = &template["spec"]["containers"][0]["envFrom"];
        let both = json!([{ "configMapRef": { "name": "relay-settings" } },
                          { "secretRef": { "name": "relay-secrets" } }]);
        assert_eq!(*from, both);
    }
    // Filled in, they are all that each process needs: of all complaints, which come at once, the only
    // one is of what is wrong on purpose.
    for (name, value) in [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere"),
        ("RELAY_ENCRYPTION_KEY", "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0="),
        ("RELAY_SERVICE_KEY", "a-key-that-is-long-enough-to-be-one"),
        ("SUPABASE_JWT_SECRET", "a-secret-that-is-long-enough-to-be-one"),
    ] {
        assert!(secrets.contains_key(name), "secrets.env.example lacks {name}");
        environment.insert(name.to_owned(), value.to_owned());
    }
    environment.insert("RELAY_LEASE".to_owned(), "never".to_owned());
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for (name, template) in pods(&all) {
        let argument = template["spec"]["containers"][0]["args"][0].as_str().expect("a command");
        let finished = command::relay(&[argument], &environment).await;
        let complaints: Vec<&str> =
            finished.stderr.lines().filter(|line| line.starts_with("  ")).collect();
        assert_eq!(complaints.len(), 1, "{name}: {finished:?}");
        assert!(complaints[0].starts_with("  RELAY_LEASE "), "{name}: {finished:?}");
    }
}

#[test]
fn pods_are_locked_down_probed_and_bounded() {
    let all = manifests();
    for (name, template) in pods(&all) {
        let spec = &template["spec"];
        let containers = spec["containers"].as_array().expect("containers");
        assert_eq!(containers.len(), 1, "{name}");
        let container = &containers[0];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
        assert!(spec["securityContext"]["runAsUser"].as_u64().is_some_and(|id| id > 0), "{name}");
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert_eq!(
            container["securityContext"],
            json!({ "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] } }),
            "{name}"
        );
        let resources = &container["resources"];
        assert!(resources["requests"]["cpu"].is_string(), "{name}");
        assert!(resources["limits"]["memory"].is_string(), "{name}");
        if name == "relay-migrate" {
            continue;
        }
        let ports = container["ports"].as_array().expect("ports");
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            let get = &container[probe]["httpGet"];
            assert_eq!(get["path"], path, "{name} {probe}");
            assert!(ports.iter().any(|port| port["name"] == get["port"]), "{name} {probe}: {get}");
        }
        // The ports are those that the settings have the process listen on.
        let settings = &named(&all, "ConfigMap", "relay-settings")["data"];
        for port in ports {
            let setting = match port["name"].as_str() {
                Some("http") => "RELAY_LISTEN",
                _ => "RELAY_METRICS_LISTEN",
            };
            let expected = format!("0.0.0.0:{}", port["containerPort"]);
            assert_eq!(settings[setting], expected, "{name}");
        }
    }
}

/// A stop has the time that it may take, what routes to an API learns of it first, and a new one is
/// ready before an old one goes.
#[test]
fn a_rollout_leaves_time_to_end_and_never_has_too_few() {
    let all = manifests();
    for deployment in of_kind(&all, "Deployment") {
        let (name, spec) = (&deployment["metadata"]["name"], &deployment["spec"]);
        let pod = &spec["template"]["spec"];
        let pause = &pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"];
        let pause = pause.as_u64().unwrap_or(0);
        let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("a number");
        assert!(grace >= drain_seconds() + pause, "{name}: {grace}");
        assert!(name != "relay-api" || pause > 0, "{name} ends before anybody knows");
        let rolling = &spec["strategy"]["rollingUpdate"];
        assert_eq!((&rolling["maxUnavailable"], &rolling["maxSurge"]), (&json!(0), &json!(1)));
    }
}

#[test]
fn what_selects_pods_selects_ours() {
    let all = manifests();
    let deployments = of_kind(&all, "Deployment");
    for deployment in &deployments {
        let (name, spec) = (&deployment["metadata"]["name"], &deployment["spec"]);
        let labels = &spec["template"]["metadata"]["labels"];
        assert!(fits(&spec["selector"]["matchLabels"], labels), "{name}");
        let budgets = of_kind(&all, "PodDisruptionBudget");
        let own =
            budgets.iter().filter(|one| fits(&one["spec"]["selector"]["matchLabels"], labels));
        assert_eq!(own.count(), 1, "{name} has one budget");
    }
    let service = named(&all, "Service", "relay-api");
    let api = &named(&all, "Deployment", "relay-api")["spec"]["template"];
    assert!(fits(&service["spec"]["selector"], &api["metadata"]["labels"]));
    let target = &service["spec"]["ports"][0]["targetPort"];
    let ports = api["spec"]["containers"][0]["ports"].as_array().expect("ports");
    assert!(ports.iter().any(|port| port["name"] == *target), "{target}");
    let policy = &named(&all, "NetworkPolicy", "relay")["spec"];
    for (_, template) in pods(&all) {
        let labels = &template["metadata"]["labels"];
        assert!(fits(&policy["podSelector"]["matchLabels"], labels), "{labels}");
    }
    for rule in policy["ingress"].as_array().expect("rules") {
        let port = &rule["ports"][0]["port"];
        assert!(ports.iter().any(|known| known["containerPort"] == *port), "{port}");
    }
}

/// The autoscaler asks for a gauge that workers have, within what shards and connections allow.
#[test]
fn workers_are_scaled_by_the_age_of_what_is_due() {
    let all = manifests();
    let scaler = &named(&all, "HorizontalPodAutoscaler", "relay-workers")["spec"];
    let target = &scaler["scaleTargetRef"];
    named(&all, target["kind"].as_str().expect("a kind"), target["name"].as_str().expect("a name"));
    assert_eq!(scaler["metrics"][0]["type"], "External");
    let metric = &scaler["metrics"][0]["external"]["metric"]["name"];
    assert_eq!(*metric, "relay_outbox_oldest_due_seconds");
    let adapter = yaml("deploy/kubernetes/monitoring/prometheus-adapter-values.yaml").remove(0);
    assert_eq!(adapter["rules"]["external"][0]["seriesQuery"], *metric);
    let workers = named(&all, "Deployment", "relay-workers");
    assert!(workers["spec"]["replicas"].is_null(), "an apply would undo what was scaled");
    let (least, most) = (scaler["minReplicas"].as_u64(), scaler["maxReplicas"].as_u64());
    assert!(least >= Some(2) && most <= Some(64), "{least:?} to {most:?}");
    let monitor = yaml("deploy/kubernetes/monitoring/pod-monitor.yaml").remove(0);
    let labels = &workers["spec"]["template"]["metadata"]["labels"];
    assert!(fits(&monitor["spec"]["selector"]["matchLabels"], labels));
}
