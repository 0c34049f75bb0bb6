//! A stand-in for Relay with faults on demand: it stores nothing and proves nothing about Relay, only
//! that this tool would notice.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::budgets::Metric;
use crate::door::Manner;
use crate::load::{Load, LoadArguments};
use crate::progress::Progress;
use crate::receiver::Receiver;
use crate::round::Round;
use crate::scenarios::steady;
use crate::schedule::Schedule;
use crate::signature::{Signed, Verifier};
use crate::trial::{Lot, Stage, Trial};
use crate::webhooks::{Relay, Webhooks};
use crate::{clock, http};

/// What it does wrong to the hundredth event that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Loses,
    DeliversAgain,
    DeliversTwice,
    RefusesAndDelivers,
    AnswersWith500,
    SignsWrongly,
    ChangesTheBody,
}

#[derive(Debug)]
struct FakeRelay {
    fault: Fault,
    hooks: Mutex<Vec<(SocketAddr, String, Verifier)>>,
    events: AtomicUsize,
}

impl FakeRelay {
    async fn start(fault: Fault) -> anyhow::Result<Relay> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let fake = Arc::new(Self { fault, hooks: Mutex::default(), events: AtomicUsize::new(0) });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&fake).serve(stream));
            }
        });
        let organization_id = Uuid::new_v4();
        let (service_key, admin_token) = ("key".to_owned(), "token".to_owned());
        Ok(Relay { address, service_key, admin_token, organization_id })
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) -> anyhow::Result<()> {
        let mut buffer = Vec::new();
        while stream.read_buf(&mut buffer).await? > 0 {
            let Some(request) = http::request(&buffer)? else { continue };
            let (used, body) = (request.used, request.signed.body.to_vec());
            let (status, answer) = if request.path == "/v1/events" {
                self.record(&body)
            } else if request.path.ends_with("/custom-integrations") {
                (201, self.add_hook(&serde_json::from_slice(&body)?)?)
            } else {
                (200, json!({ "success": true }))
            };
            let answer = answer.to_string();
            let length = answer.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{answer}");
            buffer.drain(..used);
            stream.write_all(head.as_bytes()).await?;
        }
        Ok(())
    }

    fn add_hook(&self, body: &Value) -> anyhow::Result<Value> {
        let url = body["webhook_url"].as_str().unwrap_or_default();
        let at = url.rfind("/hook").unwrap_or_default();
        let secret = format!("whsec_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let verifier = Verifier::new(&secret).expect("the secret is well formed");
        let hook = (http::loopback(&url[..at])?, url[at..].to_owned(), verifier);
        self.hooks.lock().expect("no test panics here").push(hook);
        Ok(json!({ "success": true, "id": Uuid::new_v4(), "secret": secret }))
    }

    fn record(self: &Arc<Self>, body: &[u8]) -> (u16, Value) {
        let sent: Value = serde_json::from_slice(body).expect("the tool sends JSON");
        let events = sent.as_array().cloned().unwrap_or_else(|| vec![sent.clone()]);
        let mut status = 202;
        let mut results = Vec::new();
        for event in events {
            let number = self.events.fetch_add(1, Relaxed) + 1;
            let fault = if number == 100 { self.fault } else { Fault::None };
            match fault {
                Fault::AnswersWith500 => status = 500,
                Fault::RefusesAndDelivers => status = 422,
                _ => {}
            }
            if fault != Fault::Loses {
                tokio::spawn(Arc::clone(self).deliver(event.to_string(), fault));
            }
            results.push(json!({ "id": Uuid::now_v7(), "duplicate": false }));
        }
        (status, if sent.is_array() { json!({ "results": results }) } else { results.remove(0) })
    }

    async fn deliver(self: Arc<Self>, event: String, fault: Fault) -> anyhow::Result<()> {
        let hooks = self.hooks.lock().expect("no test panics here").clone();
        for (address, path, verifier) in hooks {
            let id = Uuid::now_v7();
            post(address, &path, &verifier, &event, id, fault).await?;
            match fault {
                Fault::DeliversAgain => {
                    post(address, &path, &verifier, &event, id, fault).await?;
                }
                Fault::DeliversTwice => {
                    post(address, &path, &verifier, &event, Uuid::now_v7(), fault).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

async fn post(
    address: SocketAddr,
    path: &str,
    verifier: &Verifier,
    event: &str,
    id: Uuid,
    fault: Fault,
) -> anyhow::Result<()> {
    let body = format!(r#"{{"event":"vulnerability.found","data":{event}}}"#);
    let (id, timestamp) = (id.to_string(), clock::unix_seconds().to_string());
    let signed = Signed {
        id: id.as_bytes(),
        timestamp: timestamp.as_bytes(),
        body: body.as_bytes(),
        ..Signed::default()
    };
    let (deptex, mut standard) = verifier.sign(&signed);
    if fault == Fault::SignsWrongly {
        standard = "v1,AAAA".to_owned();
    }
    let body = if fault == Fault::ChangesTheBody { body.replace("npm", "pip") } else { body };
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nx-deptex-signature: {deptex}\r\n\
         webhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\nwebhook-signature: {standard}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    http::exchange(&mut stream, request.as_bytes(), &mut Vec::new()).await?;
    Ok(())
}

/// A stand-in and a receiver, as a stage to put lots on.
async fn with_stage<T>(
    fault: Fault,
    load: &Load,
    play: impl AsyncFnOnce(Stage<'_>, Uuid) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    clock::now_ns();
    let relay = FakeRelay::start(fault).await?;
    let receiver = Receiver::start()?;
    let hooks = receiver.hooks(0..load.connections.into());
    let webhooks = Webhooks::create(&relay, &hooks).await?;
    receiver.expect_signatures(webhooks.verifiers(), load.verify_every);
    let stage = Stage {
        target: relay.address,
        service_key: relay.service_key.clone(),
        receiver: &receiver,
        is_floor: false,
        progress: Progress::new(false),
    };
    let played = play(stage, relay.organization_id).await;
    webhooks.delete().await?;
    played
}

/// 400 events (the warm-up takes the first 40), as many as `arguments` do not say otherwise.
async fn measure(fault: Fault, arguments: &[&str]) -> anyhow::Result<Round> {
    #[derive(clap::Parser)]
    struct OnlyLoad {
        #[command(flatten)]
        load: LoadArguments,
    }
    let given = ["test", "--events", "400", "--concurrency", "4", "--drain-timeout", "1"];
    let OnlyLoad { load } = clap::Parser::parse_from(given.iter().chain(arguments));
    let load = load.over(&Load::STEADY);
    let round = with_stage(fault, &load, async |stage, organization_id| {
        Ok(steady::measure(&stage, &load, organization_id, &[]).await?.remove(0))
    });
    round.await
}

#[tokio::test]
async fn a_faultless_relay_has_a_clean_ledger() -> anyhow::Result<()> {
    for arguments in
        [&[][..], &["--batch", "7", "--idempotency"], &["--connections", "3"], &["--rate", "2000"]]
    {
        let round = measure(Fault::None, arguments).await?;
        assert!(round.ledger.is_clean(), "{arguments:?}: {round:?}");
        assert_eq!(round.verified, round.ledger.unique, "{arguments:?}");
        assert!(round.arrival.is_some() && round.answer.is_some(), "{arguments:?}");
    }
    Ok(())
}

#[tokio::test]
async fn without_connections_only_the_recording_is_measured() -> anyhow::Result<()> {
    let round = measure(Fault::None, &["--connections", "0"]).await?;
    assert!(round.ledger.is_clean(), "{round:?}");
    assert_eq!((round.ledger.accepted, round.ledger.unique, round.arrival), (400, 0, None));
    Ok(())
}

#[tokio::test]
async fn every_second_request_is_verified_when_asked_so() -> anyhow::Result<()> {
    // The stand-in opens a connection for each delivery, and counting is by connection: none is.
    let round = measure(Fault::None, &["--verify-every", "2"]).await?;
    assert_eq!((round.verified, round.ledger.unique), (0, 400));
    Ok(())
}

#[tokio::test]
async fn each_fault_is_noticed_for_what_it_is() -> anyhow::Result<()> {
    let lost = measure(Fault::Loses, &[]).await?.ledger;
    assert_eq!((lost.lost, lost.unexpected, lost.duplicates), (1, 0, 0));
    let again = measure(Fault::DeliversAgain, &[]).await?.ledger;
    assert_eq!((again.lost, again.unexpected, again.duplicates), (0, 0, 1));
    let twice = measure(Fault::DeliversTwice, &[]).await?.ledger;
    assert_eq!((twice.lost, twice.unexpected, twice.duplicates), (0, 1, 0));
    let refused = measure(Fault::RefusesAndDelivers, &[]).await?.ledger;
    assert_eq!((refused.refused, refused.unexpected, refused.lost), (1, 1, 0));
    let failed = measure(Fault::AnswersWith500, &[]).await?.ledger;
    assert_eq!((failed.in_doubt, failed.unexpected, failed.lost), (1, 0, 0));
    for ledger in [lost, again, twice, refused, failed] {
        assert!(!ledger.is_clean(), "{ledger:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_signed_wrongly_or_changed_is_turned_away() -> anyhow::Result<()> {
    for fault in [Fault::SignsWrongly, Fault::ChangesTheBody] {
        let round = measure(fault, &[]).await?;
        assert_eq!((round.rejected, round.ledger.lost), (1, 1), "{fault:?}");
        assert!(round.first_trouble.is_some(), "{fault:?}");
    }
    Ok(())
}

const SMALL: Load = Load { events: 40, concurrency: 4, drain_timeout: 1, ..Load::STEADY };

#[tokio::test]
async fn what_the_receiver_refuses_has_not_arrived() -> anyhow::Result<()> {
    // The stand-in never tries again.
    let round = with_stage(Fault::None, &SMALL, async |stage, organization_id| {
        stage.receiver.set_manner(0, Manner::FailsEvery(10));
        let lots = vec![Lot::of(&SMALL, organization_id)];
        let mut trial = Trial::open(stage, "test", lots, &SMALL)?;
        trial.send(0).await?;
        trial.arrived(0).await;
        trial.finish(&[]).await
    });
    let round = round.await?;
    assert_eq!((round.refused, round.ledger.unique, round.ledger.lost), (4, 36, 4));
    assert!(!round.ledger.is_clean());
    Ok(())
}

#[tokio::test]
async fn lots_are_told_apart_and_one_can_be_called_off() -> anyhow::Result<()> {
    let round = with_stage(Fault::None, &SMALL, async |stage, organization_id| {
        let all = Lot::of(&SMALL, organization_id);
        let schedule = Some(Schedule::steady(20.0));
        let endless = Lot { name: "endless", events: 100_000, schedule, ..all.clone() };
        let mut trial = Trial::open(stage, "test", vec![all, endless], &SMALL)?;
        trial.start(1)?;
        trial.send(0).await?;
        trial.arrived(0).await;
        trial.call_off(1);
        trial.sent(1).await?;
        trial.arrived(1).await;
        trial.finish(&[]).await
    });
    let mut round = round.await?;
    assert!(round.ledger.is_clean(), "{:?}", round.ledger);
    let endless = round.ledger.events - 40;
    assert!((1..10_000).contains(&endless), "{endless} were sent until it was called off");
    let arrived: Vec<u64> =
        round.timeline.lots.iter().map(|lot| lot.points.iter().map(|p| p.arrived).sum()).collect();
    assert_eq!(arrived, [40, endless]);
    round.watch(|part| part == "nothing");
    assert_eq!(round.arrival, None);
    round.watch(|part| part == "endless");
    assert!(round.arrival.is_some());
    Ok(())
}

#[tokio::test]
async fn what_was_prepared_is_missed_too_but_has_no_latency_and_no_rate() -> anyhow::Result<()> {
    let round = with_stage(Fault::None, &SMALL, async |stage, organization_id| {
        let sent = Lot::of(&SMALL, organization_id);
        let prepared = Lot { name: "prepared", prepared: Some(7), ..sent.clone() };
        let sent = Lot { parts: vec![("alone", 10), ("beside", 40)], ..sent };
        let mut trial = Trial::open(stage, "test", vec![prepared, sent], &SMALL)?;
        trial.send(1).await?;
        trial.arrived(1).await;
        trial.finish(&[]).await
    });
    let mut round = round.await?;
    let lots: Vec<(u64, u64, u64)> = round
        .timeline
        .lots
        .iter()
        .map(|lot| (lot.ledger.accepted, lot.ledger.unique, lot.ledger.lost))
        .collect();
    assert_eq!(lots, [(40, 0, 40), (40, 40, 0)]);
    let parts: Vec<&str> = round.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(parts, ["alone", "beside"]);
    let rate = round.metric(Metric::AcceptedPerSecond).expect("some were accepted");
    assert!((rate * round.send_seconds - 40.0).abs() < 1.0, "{rate} in {}", round.send_seconds);
    assert_eq!((round.work(), round.metric(Metric::BaselineP99Ratio)), (40, None));
    round.watch(|part| part == "beside");
    round.compare_with("alone");
    assert_eq!(round.work(), 30);
    assert!(round.metric(Metric::BaselineP99Ratio).is_some());
    Ok(())
}
