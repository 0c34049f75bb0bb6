//! A name server of the tests' own: it answers by script, counts what it is asked, and can fail.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hickory_proto::{
    op::{Message, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, NS},
    },
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// How many aliases in a row are told in one answer.
const ALIASES_MAX: usize = 8;

/// What is said of a name.
#[derive(Clone, Debug)]
pub enum Said {
    /// Its addresses, of both families; it may have none.
    Addresses(Vec<IpAddr>),
    /// It is another name for this one.
    Alias(String),
    /// `NXDOMAIN`.
    NoSuchName,
    /// `SERVFAIL`.
    Fails,
    /// Nothing, ever.
    Silence,
    /// The same, after a while.
    Late(Duration, Box<Said>),
}

impl Said {
    /// Addresses, as texts.
    #[must_use]
    pub fn addresses(texts: &[&str]) -> Self {
        let address = |text: &&str| text.parse().expect("an address");
        Self::Addresses(texts.iter().map(address).collect())
    }
}

#[derive(Debug, Default)]
struct Book {
    scripts: HashMap<String, Vec<Said>>,
    asked: HashMap<(String, RecordType), usize>,
    of_all: Option<Said>,
}

impl Book {
    /// The answer to this question: the n-th of the script, or its last.
    fn turn(&mut self, name: &str, kind: RecordType) -> Option<Said> {
        let asked = self.asked.entry((name.to_owned(), kind)).or_default();
        let turn = *asked;
        *asked += 1;
        let scripted = || self.scripts.get(name).map(|script| &script[turn.min(script.len() - 1)]);
        self.of_all.as_ref().or_else(scripted).cloned()
    }

    /// What a name stands for, without counting that as a question.
    fn first(&self, name: &str) -> Option<Said> {
        self.scripts.get(name).map(|script| script[0].clone())
    }
}

/// The server. It knows who serves the root; of names that no script names it says `NXDOMAIN`. No
/// answer may be kept.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    serving: JoinHandle<()>,
}

impl NameServer {
    /// Starts on a free port of this machine.
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port exists");
        let address = socket.local_addr().expect("it is bound");
        let book = Arc::<Mutex<Book>>::default();
        let serving = tokio::spawn(serve(Arc::new(socket), book.clone()));
        Self { address, book, serving }
    }

    /// What `RELAY_DNS_SERVERS` is to say.
    #[must_use]
    pub fn setting(&self) -> String {
        self.address.to_string()
    }

    /// What is said of a name, question by question of each family; the last serves all later ones.
    pub fn says(&self, name: &str, script: impl IntoIterator<Item = Said>) {
        let script: Vec<Said> = script.into_iter().collect();
        assert!(!script.is_empty(), "a script has at least one answer");
        let mut book = self.book();
        book.scripts.insert(name.to_owned(), script);
        book.asked.retain(|(asked, _), _| asked != name);
    }

    /// What is said of every name, the root included, until it is `None` again.
    pub fn says_of_all(&self, said: Option<Said>) {
        self.book().of_all = said;
    }

    /// How often it was asked for a name's IPv4 addresses since its script was set.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.book().asked.get(&(name.to_owned(), RecordType::A)).copied().unwrap_or(0)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(socket: Arc<UdpSocket>, book: Arc<Mutex<Book>>) {
    let mut packet = [0; 4_096];
    while let Ok((length, asker)) = socket.recv_from(&mut packet).await {
        let Ok(request) = Message::from_vec(&packet[..length]) else { continue };
        let (socket, book) = (socket.clone(), book.clone());
        tokio::spawn(async move {
            if let Some(answer) = answer(&request, &book).await {
                let bytes = answer.to_vec().expect("an answer can be written");
                let _ = socket.send_to(&bytes, asker).await;
            }
        });
    }
}

async fn answer(request: &Message, book: &Mutex<Book>) -> Option<Message> {
    let query = request.queries.first()?;
    let mut answer = Message::response(request.metadata.id, OpCode::Query);
    answer.metadata.recursion_desired = request.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    let name = query.name().to_ascii().to_ascii_lowercase();
    let name = name.trim_end_matches('.');
    let open = || book.lock().unwrap_or_else(PoisonError::into_inner);
    let mut said = open().turn(name, query.query_type());
    while let Some(Said::Late(wait, then)) = said {
        tokio::time::sleep(wait).await;
        said = Some(*then);
    }
    let mut owner = name.to_owned();
    for _ in 0..ALIASES_MAX {
        let Some(Said::Alias(target)) = &said else { break };
        answer.add_answer(record(&owner, RData::CNAME(CNAME(absolute(target)))));
        owner.clone_from(target);
        said = open().first(&owner);
    }
    match said {
        Some(Said::Addresses(addresses)) => {
            let found = addresses.into_iter().filter_map(|ip| data(ip, query));
            answer.add_answers(found.map(|data| record(&owner, data)));
        }
        Some(Said::Fails) => answer.metadata.response_code = ResponseCode::ServFail,
        Some(Said::Silence | Said::Late(..)) => return None,
        // More of them than one answer holds: whoever asks goes on.
        Some(Said::Alias(_)) => {}
        None if name.is_empty() => {
            answer.add_answer(record("", RData::NS(NS(absolute("a.root-servers.example")))));
        }
        Some(Said::NoSuchName) | None => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(answer)
}

fn data(ip: IpAddr, query: &Query) -> Option<RData> {
    match (ip, query.query_type()) {
        (IpAddr::V4(ip), RecordType::A) => Some(RData::A(A(ip))),
        (IpAddr::V6(ip), RecordType::AAAA) => Some(RData::AAAA(AAAA(ip))),
        _ => None,
    }
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(absolute(owner), 0, data)
}

fn absolute(name: &str) -> Name {
    Name::from_ascii(format!("{name}.")).expect("a name")
}
