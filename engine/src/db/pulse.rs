//! Whether the database answers now: one small question after the other on a connection of its own, so
//! that callers are told at once what each of them would only find out after a long wait.

use std::time::Duration;

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// A database that has answered nothing for so long is away for all that callers care.
const PATIENCE: Duration = Duration::from_secs(3);
/// The wait after a question that failed, as where its connection was cut.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How often it is tried whether a database that is silent answers on another connection.
const TRY_ANEW: Duration = Duration::from_secs(10);
/// How long after such an answer the old connection may still find its voice.
const NOTICED: Duration = Duration::from_secs(8);

/// Tells whether the database answers. Cheap to clone; clones share the questions.
#[derive(Clone, Debug)]
pub struct Pulse(watch::Receiver<Felt>);

#[derive(Clone, Copy, Debug)]
struct Felt {
    answers: bool,
    is_cut_off: bool,
}

const WELL: Felt = Felt { answers: true, is_cut_off: false };

impl Pulse {
    /// Starts asking, until the last clone is gone. Must be called inside a Tokio runtime.
    pub(super) fn start(options: PgConnectOptions) -> Self {
        let told = watch::Sender::new(WELL);
        let pulse = Self(told.subscribe());
        tokio::spawn(run(options, told));
        pulse
    }

    /// One that says the same for ever.
    #[must_use]
    pub fn fixed(answers: bool) -> Self {
        let (_, pulse) = watch::channel(Felt { answers, ..WELL });
        Self(pulse)
    }

    /// Whether it answered a few seconds ago.
    #[must_use]
    pub fn is_felt(&self) -> bool {
        self.0.borrow().answers
    }

    /// Waits until it answers no more.
    pub async fn lost(&self) {
        self.wait_for(|felt| !felt.answers).await;
    }

    /// Waits until this process is cut off: what is new to the database is answered, and what this
    /// process asked on a connection that it has is not, nor is it refused. So it is where a machine
    /// was lost, or a line, without a word. Connections that wait for such answers wait for a quarter
    /// of an hour, until the operating system gives them up.
    pub async fn cut_off(&self) {
        self.wait_for(|felt| felt.is_cut_off).await;
    }

    async fn wait_for(&self, is_so: impl FnMut(&Felt) -> bool) {
        if self.0.clone().wait_for(is_so).await.is_err() {
            // Nobody asks any more: nobody will ever know.
            std::future::pending().await
        }
    }
}

async fn run(options: PgConnectOptions, told: watch::Sender<Felt>) {
    let mut line = None;
    while !told.is_closed() {
        // On a task of its own: a question is never dropped half-way.
        let mut asking = tokio::spawn(ask(options.clone(), line.take()));
        line = match timeout(PATIENCE, &mut asking).await {
            Ok(line) => line.ok(),
            Err(_) => {
                tracing::warn!(waited = ?PATIENCE, "the database does not answer: callers are turned away");
                told.send_modify(|felt| felt.answers = false);
                let line = wait_out(&options, &told, asking).await;
                tracing::info!("the database answers again");
                line
            }
        };
        told.send_modify(|felt| felt.answers = true);
        sleep(ASK_EVERY).await;
    }
}

/// Asks until there is an answer, and gives the connection that brought it.
async fn ask(options: PgConnectOptions, mut line: Option<PgConnection>) -> PgConnection {
    loop {
        if line.is_none() {
            line = timeout(CONNECT_MAX, options.connect()).await.ok().and_then(Result::ok);
        }
        if let Some(mut asked) = line.take()
            && sqlx::query("select 1").execute(&mut asked).await.is_ok()
        {
            return asked;
        }
        sleep(ASK_AGAIN).await;
    }
}

/// Waits until a question is answered, or somebody else's is and this one will not be.
async fn wait_out(
    options: &PgConnectOptions,
    told: &watch::Sender<Felt>,
    mut asking: JoinHandle<PgConnection>,
) -> Option<PgConnection> {
    loop {
        if let Ok(line) = timeout(TRY_ANEW, &mut asking).await {
            return line.ok();
        }
        if !answers_anew(options).await {
            continue;
        }
        if let Ok(line) = timeout(NOTICED, &mut asking).await {
            return line.ok();
        }
        tracing::error!("the database answers, but not on the connections that this process has");
        told.send_modify(|felt| felt.is_cut_off = true);
        asking.abort();
        return None;
    }
}

async fn answers_anew(options: &PgConnectOptions) -> bool {
    let asking = async {
        let mut line = options.connect().await?;
        sqlx::query("select 1").execute(&mut line).await?;
        line.close().await
    };
    timeout(CONNECT_MAX, asking).await.is_ok_and(|answer| answer.is_ok())
}
