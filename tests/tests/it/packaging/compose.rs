//! The compose file: what it mounts is there, and what it sets is read.

use std::fs;

use serde_json::{Value, json};

use super::{assert_settings, drain_seconds, env_file, files, is_here, read, root, yaml};
use crate::command;

const FILE: &str = "deploy/docker-compose.yml";

fn services() -> Value {
    yaml(FILE).remove(0)["services"].take()
}

#[tokio::test]
async fn the_compose_file_names_what_is_there() {
    let services = services();
    let names: Vec<&String> = services.as_object().expect("services").keys().collect();
    for name in ["postgres", "migrate", "api", "workers", "prometheus", "alertmanager", "grafana"] {
        assert!(names.iter().any(|known| *known == name), "{name} is missing: {names:?}");
    }
    for (name, service) in services.as_object().expect("services") {
        // Each reads the secrets of its own file alone.
        for file in service["env_file"].as_array().into_iter().flatten() {
            let example = format!("deploy/{}.example", file.as_str().expect("a path"));
            let own = if service["image"].as_str().is_some_and(|image| image.starts_with("relay")) {
                "relay"
            } else {
                name
            };
            assert_eq!(example, format!("deploy/env/{own}.env.example"), "{name}");
            assert!(!env_file(&example).is_empty());
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let volume = volume.as_str().expect("in short");
            if let Some(source) = volume.split(':').next().filter(|path| path.starts_with('.')) {
                assert!(root().join("deploy").join(source).exists(), "{name}: no {source}");
                assert!(volume.ends_with(":ro"), "{name} may write to {source}");
            }
        }
        for other in service["depends_on"].as_object().into_iter().flat_map(|all| all.keys()) {
            assert!(names.contains(&other), "{name} waits for {other}");
        }
        let ports = service["ports"].as_array().cloned().unwrap_or_default();
        for port in ports {
            let port = port.as_str().expect("in short").to_owned();
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is open to everybody");
        }
    }
    for name in ["migrate", "api", "workers"] {
        let service = &services[name];
        assert_eq!(service["command"], json!([name]));
        assert_eq!((&service["read_only"], &service["cap_drop"]), (&json!(true), &json!(["ALL"])));
        assert_eq!(service["stop_grace_period"], format!("{}s", drain_seconds()));
    }
    for name in ["api", "workers"] {
        let after = &services[name]["depends_on"]["migrate"]["condition"];
        assert_eq!(after, "service_completed_successfully", "{name}");
    }
    let workers = &services["workers"];
    assert!(workers["ports"].is_null() && workers["container_name"].is_null(), "they scale");
    let example = env_file("deploy/env/relay.env.example");
    let set = example.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    assert_settings("relay.env.example", set).await;
    for other in ["postgres", "grafana"] {
        let example = env_file(&format!("deploy/env/{other}.env.example"));
        assert!(example.values().all(String::is_empty), "{other}.env.example has a secret");
    }
}

/// Prometheus finds the services by the names and the port that they have.
#[test]
fn what_watches_is_pointed_at_what_runs() {
    let config = yaml("deploy/prometheus.yml").remove(0);
    let services = services();
    let found = &config["scrape_configs"][0]["dns_sd_configs"][0];
    assert_eq!(found["names"], json!(["api", "workers"]));
    assert!(
        read("deploy/Dockerfile").contains(&format!("METRICS_LISTEN=0.0.0.0:{}", found["port"]))
    );
    let alerts = &config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"][0];
    assert!(services["alertmanager"].is_object() && alerts == "alertmanager:9093", "{alerts}");
    let sources = files("deploy/grafana/provisioning/datasources", ".yml");
    let source = &yaml(&sources[0]).remove(0)["datasources"][0];
    assert_eq!(source["url"], "http://prometheus:9090");
    let boards = files("deploy/grafana/provisioning/dashboards", ".yml");
    let folder = &yaml(&boards[0]).remove(0)["providers"][0]["options"]["path"];
    let folder = folder.as_str().expect("a path");
    let mounts = services["grafana"]["volumes"].as_array().expect("mounts");
    assert!(mounts.contains(&json!(format!("../dashboards/grafana:{folder}:ro"))), "{mounts:?}");
}

/// By the client itself, where one is installed: `docker compose`, or the older `docker-compose`.
#[tokio::test]
async fn the_compose_client_accepts_the_file() {
    // A copy, since it needs the files that are filled in.
    let folder = std::env::temp_dir().join(format!("relay-compose-{}", tests::new_id()));
    fs::create_dir_all(folder.join("env")).expect("the temporary directory can be written");
    let file = folder.join("docker-compose.yml");
    fs::write(&file, read(FILE)).expect("it can be written");
    for example in files("deploy/env", ".env.example") {
        let name = example.trim_start_matches("deploy/").trim_end_matches(".example");
        fs::write(folder.join(name), read(&example)).expect("it can be written");
    }
    let file = file.to_str().expect("a plain path");
    let has_plugin = is_here("docker")
        && command::run("docker".as_ref(), &["compose", "version"], &[], None).await.code
            == Some(0);
    let checked = if has_plugin {
        let arguments = ["compose", "--file", file, "config", "--quiet"];
        Some(command::run("docker".as_ref(), &arguments, &[], None).await)
    } else if is_here("docker-compose") {
        let arguments = ["--file", file, "config", "--quiet"];
        Some(command::run("docker-compose".as_ref(), &arguments, &[], None).await)
    } else {
        println!("!!! NOT CHECKED by any compose client");
        None
    };
    fs::remove_dir_all(&folder).expect("it was made above");
    if let Some(checked) = checked {
        checked.good();
    }
}
