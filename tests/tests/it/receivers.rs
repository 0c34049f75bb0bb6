//! The programs of docs/receivers.md: each is started as it stands there, and sent what Relay signs.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tests::{Arrival, LONG, World, event, free_port, new_id, wait_until};

use super::command;

/// A program of `examples/receivers` that runs.
struct Example {
    url: String,
    directory: PathBuf,
    process: tokio::process::Child,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            println!("--- the example\n{log}");
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Example {
    /// Starts it with these secrets, and waits until it listens.
    async fn start(program: &[String], port: u16, secrets: &[&str]) -> Self {
        let directory = std::env::temp_dir().join(format!("relay-example-{}", new_id()));
        std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
        let log = std::fs::File::create(directory.join("log")).expect("it can be written");
        let mut command = tokio::process::Command::new(&program[0]);
        command
            .args(&program[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DEPTEX_SECRETS", secrets.join(" "))
            .env("INBOX", directory.join("inbox"))
            .env("PORT", port.to_string())
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .kill_on_drop(true);
        let process = command.spawn().unwrap_or_else(|error| panic!("{program:?}: {error}"));
        let url = format!("http://127.0.0.1:{port}");
        let mut example = Self { url, directory, process };
        wait_until("the example to listen", LONG, || {
            let ended = example.process.try_wait().expect("a child can be asked");
            assert_eq!(ended, None, "{program:?} ended");
            async move { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok() }
        })
        .await;
        example
    }

    /// The names of what it has kept, half-written files too.
    fn kept(&self) -> Vec<String> {
        let inbox = std::fs::read_dir(self.directory.join("inbox")).expect("it makes its inbox");
        let name =
            |file: std::io::Result<std::fs::DirEntry>| file.expect("it is there").file_name();
        let mut names: Vec<String> =
            inbox.map(name).map(|name| name.into_string().expect("plain names")).collect();
        names.sort();
        names
    }

    fn file(&self, id: &str) -> PathBuf {
        self.directory.join("inbox").join(format!("{id}.json"))
    }

    /// Sends it a request; `None` where it hung up before it had answered.
    async fn post(&self, path: &str, request: &Request) -> Option<u16> {
        let http = reqwest::Client::builder().no_proxy().timeout(LONG).build();
        let mut post = http.expect("a plain client").post(format!("{}{path}", self.url));
        for (name, value) in &request.headers {
            post = post.header(*name, value);
        }
        // A client leaves the header out where the body is empty.
        post = post.header("content-length", request.body.len());
        let answer = post.body(request.body.clone()).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }
}

/// What a receiver looks at of a request.
#[derive(Clone)]
struct Request {
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Request {
    fn of(arrival: &Arrival) -> Self {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "x-deptex-signature"];
        let headers = names.map(|name| (name, arrival.header(name).to_owned())).to_vec();
        Self { headers, body: arrival.body.to_vec() }
    }

    fn get(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| value.as_str()).expect("it was sent")
    }

    fn with(&self, name: &'static str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.headers.retain(|(n, _)| *n != name);
        changed.headers.push((name, value.to_owned()));
        changed
    }

    fn without(&self, name: &str) -> Self {
        let mut changed = self.clone();
        changed.headers.retain(|(n, _)| *n != name);
        changed
    }

    fn with_body(&self, body: Vec<u8>) -> Self {
        Self { body, ..self.clone() }
    }

    /// Signed anew, as sent so many seconds from now.
    fn signed(&self, secret: &str, seconds: i64) -> Self {
        let sent_at = (chrono::Utc::now().timestamp() + seconds).to_string();
        let key = STANDARD.decode(secret.trim_start_matches("whsec_")).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key of any length");
        mac.update(format!("{}.{sent_at}.", self.get("webhook-id")).as_bytes());
        mac.update(&self.body);
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.with("webhook-timestamp", &sent_at).with("webhook-signature", &signature)
    }
}

/// What no receiver may take, of a request that it does take.
fn forgeries(genuine: &Request, secret: &str) -> Vec<(&'static str, Request)> {
    let another = format!("whsec_{}", "0".repeat(64));
    let id = "webhook-id";
    let (at, signature) = ("webhook-timestamp", "webhook-signature");
    let signed = genuine.get(signature).to_owned();
    let seconds: i64 = genuine.get(at).parse().expect("seconds");
    let [mut more, mut other] = [genuine.body.clone(), genuine.body.clone()];
    more.push(b' ');
    let last = other.len() - 3;
    other[last] ^= 1;
    vec![
        ("one byte more", genuine.with_body(more)),
        ("one bit changed", genuine.with_body(other)),
        ("no body", genuine.with_body(Vec::new())),
        ("another id", genuine.with(id, &new_id().to_string())),
        ("no id", genuine.without(id)),
        ("a path for an id", genuine.with(id, "../inbox/x").signed(secret, 0)),
        ("another time", genuine.with(at, &(seconds - 1).to_string())),
        ("no time", genuine.without(at)),
        ("a time that is none", genuine.with(at, "soon")),
        ("a negative time", genuine.with(at, "-1")),
        ("an old one, rightly signed", genuine.signed(secret, -310)),
        ("one of the future, rightly signed", genuine.signed(secret, 400)),
        ("another secret", genuine.signed(&another, 0)),
        ("no signature", genuine.without(signature)),
        ("an empty signature", genuine.with(signature, "")),
        ("a version without a signature", genuine.with(signature, "v1,")),
        ("another version", genuine.with(signature, &signed.replace("v1,", "v2,"))),
        ("a cut signature", genuine.with(signature, &signed[..signed.len() - 4])),
        ("what is not base64", genuine.with(signature, "v1,%%%%")),
    ]
}

/// The same by the other header, which covers the body alone.
fn simple_forgeries(genuine: &Request) -> Vec<(&'static str, Request)> {
    let name = "x-deptex-signature";
    let signature = genuine.get(name).to_owned();
    let mut more = genuine.body.clone();
    more.push(b' ');
    vec![
        ("one byte more", genuine.with_body(more)),
        ("no header", genuine.without(name)),
        ("an empty header", genuine.with(name, "")),
        ("a cut signature", genuine.with(name, &signature[..signature.len() - 2])),
        ("another kind", genuine.with(name, &signature.replace("sha256=", "sha1="))),
        ("zeros", genuine.with(name, &format!("sha256={}", "0".repeat(64)))),
    ]
}

/// A test that cannot run its example is not green.
fn needs(runtime: &str) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(runtime).is_file());
    assert!(is_there, "NOT RUN: there is no {runtime} here; scripts/setup-verifiers installs it");
}

/// A real delivery is taken and kept once; what was changed, forged, cut or recorded long ago is not.
async fn takes_what_is_signed_and_nothing_else(program: &[String]) {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "300ms,300ms").start().await;
    let (org, port) = (new_id(), free_port());
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let hook = world.relay.create_custom(org, &at("/webhooks")).await;
    let simple = world.relay.create_custom(org, &at("/webhooks/simple")).await;
    let copy = world.relay.create_custom(org, &world.receiver.url("/copy")).await;
    let secrets = [&*hook.secret, &simple.secret, &copy.secret];
    let example = Example::start(program, port, &secrets).await;

    // Relay itself delivers, to either way of verifying.
    let text = r#"é😀\u00e9\/\n"#;
    let body = format!(
        r#"{{"type":"vulnerability.found","organization_id":"{org}","data":{{"text":"{text}","n":1.50}}}}"#
    );
    let emitted = world.relay.post_events(body).await.expect(202).json();
    let emitted = emitted["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    for connection in [&hook, &simple] {
        let delivery = world.relay.settled(org, emitted, connection.id, "delivered").await;
        let id = delivery["id"].as_str().expect("an id");
        let kept = std::fs::read_to_string(example.file(id)).expect("kept under its id");
        assert!(kept.contains(text) && kept.contains(r#""n":1.50"#), "the bytes as sent: {kept}");
        let kept: Value = serde_json::from_str(&kept).expect("JSON");
        assert_eq!(
            (&kept["delivery_id"], &kept["event"]),
            (&json!(id), &json!("vulnerability.found"))
        );
    }

    // What arrived elsewhere, with a secret of its own, is taken: once, however often it is sent.
    let arrival = world.receiver.wait_for("/copy", 1).await.remove(0);
    let genuine = Request::of(&arrival);
    let id = arrival.delivery_id().to_string();
    for (what, forged) in forgeries(&genuine, &copy.secret) {
        assert_eq!(example.post("/webhooks", &forged).await, Some(401), "{what}");
    }
    for (what, forged) in simple_forgeries(&genuine) {
        assert_eq!(example.post("/webhooks/simple", &forged).await, Some(401), "{what}");
    }
    let long = genuine.with_body(vec![b' '; 1024 * 1024 + 1]);
    assert!(matches!(example.post("/webhooks", &long).await, Some(413) | None), "it is too long");
    assert_eq!(example.post("/elsewhere", &genuine).await, Some(404));
    assert_eq!(example.kept().len(), 2, "nothing of all that is kept: {:?}", example.kept());

    assert_eq!(example.post("/webhooks", &genuine).await, Some(204));
    let file = example.file(&id);
    assert_eq!(std::fs::read(&file).expect("kept"), genuine.body);
    std::fs::write(&file, "being worked on").expect("it can be written");
    for path in ["/webhooks", "/webhooks/simple"] {
        assert_eq!(example.post(path, &genuine).await, Some(204), "a repeat is taken as well");
    }
    let again = genuine.signed(&copy.secret, -240);
    assert_eq!(example.post("/webhooks", &again).await, Some(204), "within five minutes");
    assert_eq!(std::fs::read(&file).expect("kept"), b"being worked on", "and done once");

    // In an overlap there are several signatures: one that fits is enough, wherever it stands.
    let signature = genuine.get("webhook-signature");
    let several = format!("v1a,AAAA v1,AAAA {signature} v2,AAAA");
    let several = genuine.with("webhook-signature", &several);
    assert_eq!(example.post("/webhooks", &several).await, Some(204));
    let path = format!("/api/integrations/organizations/{org}/custom-integrations/{}", hook.id);
    let change = json!({ "regenerate_secret": true, "secret_overlap_seconds": 3600 });
    world.relay.admin(org, reqwest::Method::PUT, &path, Some(&change)).await.expect(200);
    let emitted = world.relay.emit(&event(org, "a.b", json!({}))).await;
    world.relay.settled(org, emitted, hook.id, "delivered").await;

    // Who has a secret that the example does not know is refused, and Relay hears so.
    let other = new_id();
    let stranger = world.relay.create_custom(other, &at("/webhooks")).await;
    let emitted = world.relay.emit(&event(other, "a.b", json!({}))).await;
    let dead = world.relay.settled(other, emitted, stranger.id, "dead").await;
    let attempts = dead["attempt_list"].as_array().expect("attempts");
    assert!(attempts.len() == 3 && attempts.iter().all(|a| a["status_code"] == 401), "{dead}");
    let half_written = example.kept().into_iter().filter(|name| name.starts_with('.'));
    assert_eq!(half_written.count(), 0);
    assert_eq!(example.kept().len(), 5);
}

fn example(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/receivers");
    root.join(path).to_str().expect("a plain path").to_owned()
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// B19, B20: a receiver in Python.
#[tokio::test]
async fn b19_b20_the_python_example_takes_what_is_signed_and_nothing_else() {
    needs("python3");
    let program = words(["python3", &example("python/receiver.py")]);
    takes_what_is_signed_and_nothing_else(&program).await;
}

/// B19, B20: a receiver in JavaScript.
#[tokio::test]
async fn b19_b20_the_node_example_takes_what_is_signed_and_nothing_else() {
    needs("node");
    let program = words(["node", &example("node/receiver.mjs")]);
    takes_what_is_signed_and_nothing_else(&program).await;
}

/// B19, B20: a receiver in Ruby.
#[tokio::test]
async fn b19_b20_the_ruby_example_takes_what_is_signed_and_nothing_else() {
    needs("ruby");
    let program = words(["ruby", &example("ruby/receiver.rb")]);
    takes_what_is_signed_and_nothing_else(&program).await;
}

/// B19, B20: a receiver in PHP, served by the server that PHP brings along.
#[tokio::test]
async fn b19_b20_the_php_example_takes_what_is_signed_and_nothing_else() {
    needs("php");
    // It listens where it is told on its command line.
    let script = example("php/receiver.php");
    let serve = words(["sh", "-c", "exec php -S 127.0.0.1:$PORT \"$0\"", &script]);
    takes_what_is_signed_and_nothing_else(&serve).await;
}

/// B19, B20: a receiver in Go.
#[tokio::test]
async fn b19_b20_the_go_example_takes_what_is_signed_and_nothing_else() {
    needs("go");
    let directory = std::env::temp_dir().join(format!("relay-go-{}", new_id()));
    let built = directory.join("receiver");
    let (cache, path) = (go_cache(), built.to_str().expect("a plain path").to_owned());
    let environment = [("GOCACHE", &*cache), ("GOPATH", &*cache), ("CGO_ENABLED", "0")];
    let arguments = ["build", "-o", &path, &example("go/main.go")];
    command::run(Path::new("go"), &arguments, &environment, None).await.good();
    takes_what_is_signed_and_nothing_else(&[path]).await;
    std::fs::remove_dir_all(directory).expect("it was made here");
}

/// What `scripts/setup-verifiers` has compiled of Go's own packages, so that a test need not.
fn go_cache() -> String {
    let verifiers = std::env::var("RELAY_VERIFIERS_DIR");
    let fallback = || std::env::temp_dir().to_str().expect("a plain path").to_owned();
    format!("{}/go-cache", verifiers.unwrap_or_else(|_| fallback()))
}

/// B19, B20: a receiver in Rust, which Cargo builds with the tests.
#[tokio::test]
async fn b19_b20_the_rust_example_takes_what_is_signed_and_nothing_else() {
    let test = std::env::current_exe().expect("a test knows its own file");
    let target = test.ancestors().nth(2).expect("it lies in target/");
    let built = target.join("examples/receiver");
    assert!(built.exists(), "NOT RUN: `cargo build -p tests --example receiver` builds it");
    let program = [built.to_str().expect("a plain path").to_owned()];
    takes_what_is_signed_and_nothing_else(&program).await;
}
