//! The only file that knows apalis: its workers run over our own outbox.
//!
//! [`OutboxBackend`] gives apalis what the pump hands over. [`Report`], the backend's own layer, sits
//! outside every other one, so it hears how each task really ended, a panic or a drop included, and
//! tells the settler and the pump.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apalis::{layers::WorkerBuilderExt, prelude::WorkerBuilder};
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder},
    worker::context::WorkerContext,
};
use engine::{
    Engine,
    delivery::attempt::{Prepared, Settled, attempt},
    ids::{ConnectionId, DeliveryId, OrganizationId},
    schedule::Outcome,
};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

use crate::{WorkersError, leases::Leases, pump::Work, settler::Ended};

/// Runs the delivery pool until `stop`, then until what was started has ended. Boxed, so that
/// callers need not name what apalis is made of.
pub(crate) fn run(
    engine: Engine,
    leases: Arc<Leases>,
    work: Work,
    verdicts: mpsc::UnboundedSender<Ended>,
    stop: CancellationToken,
) -> BoxFuture<'static, Result<(), WorkersError>> {
    let concurrency = engine.config.worker_concurrency.max(1);
    let lease = engine.config.lease;
    let backend = OutboxBackend {
        deliveries: work.deliveries,
        report: Report { verdicts, finished: work.finished },
    };
    let handler = Attempts { engine, leases, lease };
    let worker =
        WorkerBuilder::new("deliveries").backend(backend).concurrency(concurrency).build(handler);
    let signal = async move {
        stop.cancelled().await;
        Ok::<(), std::io::Error>(())
    };
    let running = worker.run_until(signal);
    Box::pin(async move { running.await.map_err(|error| WorkersError::Pool(error.to_string())) })
}

/// Starts each attempt on a task of its own: it runs beside the others on every core, and a panic
/// ends nothing but itself.
#[derive(Clone)]
struct Attempts {
    engine: Engine,
    leases: Arc<Leases>,
    lease: Duration,
}

/// The task of an attempt panicked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Panicked(String);

impl Service<Task<Prepared>> for Attempts {
    type Response = Option<Settled>;
    type Error = Panicked;
    type Future = BoxFuture<'static, Result<Option<Settled>, Panicked>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Panicked>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Prepared>) -> Self::Future {
        let Self { engine, leases, lease } = self.clone();
        let running = tokio::spawn(async move {
            let claimed = &task.args.claimed;
            if !leases.begin(claimed.delivery_id, claimed.lease, lease) {
                // Handed back meanwhile, or this process slept past its lease: not ours any more.
                return None;
            }
            Some(attempt(&engine, task.args).await)
        });
        Box::pin(async move { running.await.map_err(|error| Panicked(error.to_string())) })
    }
}

/// The pump's end of the outbox, as apalis sees it.
struct OutboxBackend {
    deliveries: mpsc::Receiver<Prepared>,
    report: Report,
}

/// The pump is gone, which happens only while the process ends.
#[derive(Debug, thiserror::Error)]
#[error("the pump has ended")]
struct PumpEnded;

impl Backend for OutboxBackend {
    type Task = Task<Prepared>;
    type Error = PumpEnded;

    fn poll_ready(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), PumpEnded>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<Prepared>, PumpEnded>>> {
        match self.deliveries.poll_recv(cx) {
            Poll::Ready(Some(prepared)) => {
                Poll::Ready(Some(Ok(TaskBuilder::new(prepared).build())))
            }
            // Ending the stream would hang the worker; it is told to stop by its signal instead.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_close(
        &mut self,
        _: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), PumpEnded>> {
        // What was handed over and not started is still held, and is released with the rest.
        self.deliveries.close();
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for OutboxBackend {
    type Args = Prepared;
    type Id = uuid::Uuid;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Report;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Report {
        self.report.clone()
    }
}

/// Tells how every task ended.
#[derive(Clone)]
struct Report {
    verdicts: mpsc::UnboundedSender<Ended>,
    finished: mpsc::UnboundedSender<(ConnectionId, Outcome)>,
}

impl<S> Layer<S> for Report {
    type Service = Reporting<S>;
    fn layer(&self, inner: S) -> Reporting<S> {
        Reporting { inner, report: self.clone() }
    }
}

#[derive(Clone)]
struct Reporting<S> {
    inner: S,
    report: Report,
}

impl<S> Service<Task<Prepared>> for Reporting<S>
where
    S: Service<Task<Prepared>, Response = Option<Settled>>,
    S::Future: Send + 'static,
    S::Error: std::fmt::Display,
{
    type Response = ();
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<(), S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<Prepared>) -> Self::Future {
        let claimed = &task.args.claimed;
        let ending = Ending {
            report: self.report.clone(),
            connection_id: claimed.connection_id,
            organization_id: claimed.organization_id,
            delivery_id: claimed.delivery_id,
            lease: claimed.lease,
            ended: None,
        };
        let attempt = self.inner.call(task);
        Box::pin(async move {
            // Moved in whole, so that dropping this future half-way reports as well.
            let mut ending = ending;
            let (delivery_id, lease) = (ending.delivery_id, ending.lease);
            ending.ended = Some(match attempt.await {
                Ok(Some(settled)) => Ended::Settled(Box::new(settled)),
                Ok(None) => Ended::Dropped { delivery_id, lease },
                Err(error) => {
                    tracing::error!(delivery.id = %delivery_id, error = %error, "an attempt crashed");
                    Ended::Crashed { organization_id: ending.organization_id, delivery_id, lease }
                }
            });
            Ok(())
        })
    }
}

/// Reports when it goes, however it goes.
struct Ending {
    report: Report,
    connection_id: ConnectionId,
    organization_id: OrganizationId,
    delivery_id: DeliveryId,
    lease: i64,
    ended: Option<Ended>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let dropped = Ended::Dropped { delivery_id: self.delivery_id, lease: self.lease };
        let ended = self.ended.take().unwrap_or(dropped);
        let outcome = match &ended {
            Ended::Settled(settled) => settled.outcome,
            Ended::Crashed { .. } | Ended::Dropped { .. } => Outcome::Nothing,
        };
        // Both receivers outlive the pool; while the process ends there is nobody left to tell.
        let _ = self.report.verdicts.send(ended);
        let _ = self.report.finished.send((self.connection_id, outcome));
    }
}
