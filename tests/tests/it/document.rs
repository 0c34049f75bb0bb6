//! The API is what `docs/openapi.json` says: Schemathesis asks it all that the document allows, and much that
//! it does not, and holds every answer against it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tests::{World, new_id};

use crate::walls::{Ids, inhabited};

/// Where `scripts/setup-schemathesis` puts it.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("RELAY_SCHEMATHESIS_DIR").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/schemathesis");
    let programs = named.into_iter().chain([beside]).map(|dir| dir.join("bin/schemathesis"));
    programs.into_iter().find(|program| program.exists())
}

/// No request ends in an error of ours, and no answer is other than the document says: its status, its
/// content type, its headers, its body.
#[tokio::test]
#[ignore = "long: make schemathesis"]
async fn every_answer_is_as_the_document_says() {
    let Some(program) = program() else {
        let missing = "Schemathesis is not there: scripts/setup-schemathesis gets it";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("!!! NOT TESTED: {missing}");
        return;
    };
    let world = World::builder().providers().start().await;
    let ids = inhabited(&world).await;
    let directory = std::env::temp_dir().join(format!("relay-document-{}", new_id()));
    std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
    let configuration = directory.join("schemathesis.toml");
    let token = world.relay.admin_token(ids.org);
    let toml = configuration_for(&ids, &token, world.relay.service_key());
    std::fs::write(&configuration, toml).expect("it can be written");
    let seed = std::env::var("RELAY_SCHEMATHESIS_SEED").unwrap_or_else(|_| "1".into());
    let examples = std::env::var("RELAY_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| "10".into());
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(&configuration).args(["run", document, "--url"]);
    command.arg(world.relay.base_url()).args(["--seed", &seed, "--max-examples", &examples]);
    command.args(["--phases", "examples,coverage,fuzzing", "--workers", "2", "--no-color"]);
    command.args(["--request-timeout", "40", "--continue-on-failure"]);
    command.args(["--checks", CHECKS]).current_dir(&directory);
    let done = tokio::task::spawn_blocking(move || command.output()).await.expect("it ends");
    let done = done.expect("it runs");
    let told = String::from_utf8_lossy(&done.stdout).replace(&token, "<token>");
    let errors = String::from_utf8_lossy(&done.stderr);
    println!("{told}{errors}");
    std::fs::remove_dir_all(&directory).expect("it can be cleared away");
    assert!(done.status.success(), "seed {seed}: {}", done.status);
    let log = world.apis[0].log();
    let ours: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

/// With a token of the organization's owner and the core's key, and mostly with ids that there are.
fn configuration_for(ids: &Ids, token: &str, service_key: &str) -> String {
    let mut toml = format!(
        r#"
[headers]
Authorization = "Bearer {token}"
X-Internal-Api-Key = "{service_key}"

# Our own deliveries led to this event, over and over: that is no fault of the server's.
[[operations]]
include-operation-id = "record_events"
checks = {{ not_a_server_error = {{ expected-statuses = ["2xx", "3xx", "4xx", 508] }} }}

[dictionaries]
services = {{ values = ["slack", "github", "jira", "nobody"] }}
callbacks = {{ values = ["org-callback", "callback"] }}
words = {{ values = ["{word}", "{word}.seen"] }}

[parameters]
"path.org" = "{org}"
"path.team" = "{team}"
"path.project" = "{project}"
"path.file" = "{icon}.png"
"query.org_id" = "{org}"
"path.provider" = {{ dictionary = "services" }}
"path.callback" = {{ dictionary = "callbacks" }}
"query.event" = {{ dictionary = "words", probability = 0.5 }}
"query.subject" = {{ dictionary = "words", probability = 0.5 }}

# It does not end; tests/tests/it/live.rs listens to it.
[[operations]]
include-operation-id = "watch"
enabled = false
"#,
        org = ids.org,
        team = ids.team,
        project = ids.project,
        icon = ids.icon,
        word = ids.word,
    );
    for (part, id) in [
        ("/(deliveries|notification-history)/", ids.delivery),
        ("/events/", ids.event),
        ("/replays/", ids.replay),
        ("/teams/", ids.of_team),
        ("/projects/", ids.of_project),
        (
            "^/api/(integrations/)?organizations/[^/]+/(connections|custom-integrations)/|^/internal",
            ids.connection,
        ),
    ] {
        toml.push_str(&format!(
            "\n[[operations]]\ninclude-path-regex = '{part}'\nparameters = {{ \"path.id\" = \"{id}\" }}\n"
        ));
    }
    toml
}

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method";
