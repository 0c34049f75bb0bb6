//! TLS as receivers have it: a good certificate is served, a bad one is told apart and never excused.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Method;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tests::{Receiver, World, event, new_id};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use uuid::Uuid;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("a certificate")
}

fn params(host: &str) -> CertificateParams {
    CertificateParams::new(vec![host.to_owned()]).expect("a host name")
}

/// A receiver with a certificate of this authority, or signed by itself.
async fn receiver(params: CertificateParams, by: Option<&Authority>) -> Receiver {
    let key = KeyPair::generate().expect("a key");
    let certificate = match by {
        Some(authority) => params.signed_by(&key, authority),
        None => params.self_signed(&key),
    };
    let certificate = certificate.expect("a certificate").der().clone();
    serve(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into())).await
}

async fn serve(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Receiver {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the defaults are safe")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key fits the certificate");
    Receiver::start_tls(Arc::new(config)).await
}

/// A directory of this test's own, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("relay-tls-{}", Uuid::now_v7()));
        fs::create_dir_all(&dir).expect("the temporary directory can be written");
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("a plain path").to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A world that trusts this authority beside the system's.
async fn trusting(scratch: &Scratch, pem: &str) -> World {
    let path = scratch.path("ca.pem");
    fs::write(&path, pem).expect("the file can be written");
    World::builder()
        .env("RELAY_CA_FILE", &path)
        .env("RELAY_ALLOW_HTTP", "false")
        .env("RELAY_RETRY_SCHEDULE", "")
        .start()
        .await
}

/// Delivers one event to `https://localhost:<port>/hook` and gives the only attempt.
async fn attempt(world: &World, port: u16) -> Value {
    let org = new_id();
    let hook = world.relay.create_custom(org, &format!("https://localhost:{port}/hook")).await;
    let emitted = world.relay.emit(&event(org, "a.b", json!({ "marker": "tls" }))).await;
    world.run_until_idle().await;
    let delivery = world.relay.delivery_of(org, emitted, hook.id).await;
    let attempts = delivery["attempt_list"].as_array().expect("attempts").clone();
    assert_eq!(attempts.len(), 1, "{delivery}");
    assert_eq!(
        delivery["status"],
        if attempts[0]["status_code"].is_null() { "dead" } else { "delivered" }
    );
    attempts[0].clone()
}

/// I36: a certificate of a trusted authority is served; one that ran out, is for another host, or is
/// vouched for by nobody fails in a class of its own, and not a byte of the request is sent.
#[tokio::test]
async fn i36_a_good_certificate_is_served_and_each_bad_one_is_told_apart() {
    let (trusted, stranger) = (authority("trusted"), authority("stranger"));
    let scratch = Scratch::new();
    let world = trusting(&scratch, &trusted.pem()).await;
    let good = receiver(params("localhost"), Some(&trusted)).await;
    let served = attempt(&world, good.port()).await;
    assert_eq!(served["status_code"], 200, "{served}");
    assert_eq!(good.count("/hook"), 1);

    let dated = |from: i32, until: i32| {
        let mut params = params("localhost");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params
    };
    let table = [
        ("expired", receiver(dated(2019, 2020), Some(&trusted)).await, "tls_expired"),
        ("not yet valid", receiver(dated(2999, 3000), Some(&trusted)).await, "tls_expired"),
        ("wrong host", receiver(params("example.com"), Some(&trusted)).await, "tls_hostname"),
        ("self-signed", receiver(params("localhost"), None).await, "tls_untrusted"),
        (
            "unknown authority",
            receiver(params("localhost"), Some(&stranger)).await,
            "tls_untrusted",
        ),
    ];
    for (what, receiver, class) in &table {
        let failed = attempt(&world, receiver.port()).await;
        assert_eq!(failed["error_class"], *class, "{what}: {failed}");
        assert_eq!(failed["status_code"], Value::Null);
        assert!(failed["error"].is_string(), "{what}: {failed}");
        assert!(receiver.connections() >= 1, "{what}: the handshake was tried");
        assert!(receiver.all().is_empty(), "{what}: something was sent all the same");
    }
}

/// I36: nobody can ask us to look away: what would say so is no setting, and changes nothing.
#[tokio::test]
async fn i36_no_endpoint_can_switch_verification_off() {
    let scratch = Scratch::new();
    let world = trusting(&scratch, &authority("trusted").pem()).await;
    let bad = receiver(params("localhost"), None).await;
    let url = format!("https://localhost:{}/hook", bad.port());
    let org = new_id();
    let hook = world.relay.create_custom(org, &url).await;
    for name in ["verify_ssl", "verify_tls", "skip_verify", "insecure", "insecure_skip_verify"] {
        let custom = format!("/api/integrations/organizations/{org}/custom-integrations");
        for value in [true, false] {
            let mut body = json!({ "name": "X", "type": "notification", "webhook_url": url });
            body[name] = value.into();
            world.relay.admin(org, Method::POST, &custom, Some(&body)).await;
            world.relay.change(org, hook.id, &json!({ name: value })).await;
        }
    }
    world.relay.emit(&event(org, "a.b", json!({ "marker": "tls" }))).await;
    world.run_until_idle().await;
    let deliveries = world.relay.deliveries(org).await;
    assert!(!deliveries.is_empty());
    for delivery in deliveries {
        let id = delivery["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
        let attempts = world.relay.delivery(org, id).await["attempt_list"].clone();
        assert_eq!(attempts[0]["error_class"], "tls_untrusted", "{attempts}");
    }
    assert!(bad.all().is_empty(), "something was sent all the same");
}

/// I36: a certificate signed with SHA-1 is worth nothing, though a trusted authority made it.
#[tokio::test]
async fn i36_a_certificate_signed_with_sha_1_is_refused() {
    let scratch = Scratch::new();
    let (ca_key, ca, key, request, extensions, certificate) = (
        scratch.path("ca.key"),
        scratch.path("own-ca.pem"),
        scratch.path("leaf.key"),
        scratch.path("leaf.csr"),
        scratch.path("leaf.ext"),
        scratch.path("leaf.pem"),
    );
    fs::write(&extensions, "subjectAltName=DNS:localhost\n").expect("it can be written");
    let new_key = ["-newkey", "rsa:2048", "-nodes", "-keyout"];
    let steps: [Vec<&str>; 3] = [
        [
            &["req", "-x509", "-sha256", "-days", "2", "-subj", "/CN=old", "-out", &ca],
            &new_key[..],
            &[&ca_key],
        ]
        .concat(),
        [&["req", "-subj", "/CN=localhost", "-out", &request], &new_key[..], &[&key]].concat(),
        vec![
            "x509",
            "-req",
            "-sha1",
            "-days",
            "2",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ],
    ];
    for step in steps {
        super::command::run(std::path::Path::new("openssl"), &step, &[], None).await.good();
    }
    let world = trusting(&scratch, &fs::read_to_string(&ca).expect("it was made")).await;
    let chain = vec![CertificateDer::from_pem_file(&certificate).expect("a certificate")];
    let receiver = serve(chain, PrivateKeyDer::from_pem_file(&key).expect("a key")).await;
    let failed = attempt(&world, receiver.port()).await;
    let class = failed["error_class"].as_str().unwrap_or_default();
    assert!(class.starts_with("tls"), "{failed}");
    assert!(receiver.all().is_empty());
}

/// I36: a server that only knows TLS 1.0 is not met halfway.
#[tokio::test]
async fn i36_tls_1_0_is_refused_without_a_downgrade() {
    // A ServerHello of version 3.1 that picks TLS_RSA_WITH_AES_128_CBC_SHA.
    let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x2a, 0x02, 0x00, 0x00, 0x26, 0x03, 0x01];
    hello.extend([0x5a; 32]);
    hello.extend([0x00, 0x00, 0x2f, 0x00]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let serving = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut first = vec![0; 16 * 1024];
            let read = socket.read(&mut first).await.unwrap_or(0);
            first.truncate(read);
            seen.push(first);
            let _ = socket.write_all(&hello).await;
            let mut rest = Vec::new();
            let _ = socket.read_to_end(&mut rest).await;
            // An alert, and no second hello.
            assert!(rest.first().is_none_or(|kind| *kind == 0x15), "{rest:?}");
            if !seen.is_empty() {
                return seen;
            }
        }
        seen
    });
    let scratch = Scratch::new();
    let world = trusting(&scratch, &authority("trusted").pem()).await;
    let failed = attempt(&world, port).await;
    assert_eq!(failed["error_class"], "tls", "{failed}");
    let seen = serving.await.expect("what came after our hello was an alert");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0][..2], [0x16, 0x03], "it began with a handshake, not with a request");
}
