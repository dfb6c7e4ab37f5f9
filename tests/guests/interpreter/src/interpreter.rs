//! Execution of statements.

use std::hint::black_box;
use std::rc::Rc;

use forge::futures::future::{LocalBoxFuture, join_all, select_all};
use forge::http::RequestBuilder;
use forge::prelude::*;
use forge::serde_json::Value;
use program::{Block, Program, Statement, Step};

use crate::digest::Digest;

/// The interpreter. A clone is cheap: each compensation handler owns one.
#[derive(Clone)]
pub(crate) struct Interpreter {
    ctx: WorkflowContext,
    services: Rc<str>,
}

impl Interpreter {
    pub(crate) fn new(ctx: &WorkflowContext, services: &str) -> Self {
        Self { ctx: ctx.clone(), services: services.into() }
    }

    /// Executes a program's body.
    pub(crate) async fn run(&self, body: &Block) -> Result<Value> {
        self.block(body, Digest::default()).await
    }

    /// Executes statements in order. `seen` is the digest of the branch's earlier observations.
    fn block<'a>(&'a self, block: &'a [Statement], mut seen: Digest) -> LocalBoxFuture<'a, Result<Value>> {
        Box::pin(async move {
            let mut observations = Vec::new();
            for statement in block {
                let observation = self.statement(statement, seen).await?;
                seen.add(&observation);
                observations.push(observation);
            }
            Ok(Value::Array(observations))
        })
    }

    async fn statement(&self, statement: &Statement, seen: Digest) -> Result<Value> {
        match statement {
            Statement::Step(step) => self.step(step, seen).await,
            Statement::Manual(name, body) => self.manual(name, body, seen).await,
            Statement::Effect(name) => answer(self.post(&format!("/effects/{name}"), seen)).await,
            Statement::Large(name, bytes) => {
                let url = self.url(&format!("/effects/{name}"));
                answer(self.ctx.http().post(url).body(vec![b'x'; *bytes])).await
            }
            Statement::Keyed(name, key) => {
                answer(self.post(&format!("/effects/{name}"), seen).idempotency_key(key)).await
            }
            Statement::Gate(name) => answer(self.post(&format!("/gate/{name}"), seen)).await,
            Statement::GateOnce(name) => {
                answer(self.post(&format!("/gate/{name}"), seen).at_most_once()).await
            }
            Statement::Flaky(name, times) => self.flaky(name, *times, seen).await,
            Statement::Never(timeout) => self.never(*timeout, seen).await,
            Statement::Busy(name, timeout) => {
                answer(limited(self.post(&format!("/busy/{name}"), seen), *timeout)).await
            }
            Statement::Later(name, seconds) => {
                answer(self.post(&format!("/later/{seconds}/{name}"), seen)).await
            }
            Statement::Get(path) => answer(self.ctx.http().get(self.url(path))).await,
            Statement::GetWith(path, (name, value)) => {
                answer(self.ctx.http().get(self.url(path)).header(name, value)).await
            }
            Statement::Event(name, timeout) => {
                let event = self.ctx.event(name);
                match timeout {
                    Some(milliseconds) => event.timeout(Duration::from_millis(*milliseconds)).recv().await,
                    None => event.recv().await,
                }
            }
            Statement::EventsThatAreThere(name) => self.events_that_are_there(name).await,
            Statement::Send(run, name, payload, key) => self.send(run, name, payload, key.as_deref()).await,
            Statement::Child(body) => self.ctx.child("program", self.program(body)).run().await,
            Statement::ChildOf(workflow, input, timeout) => {
                let child = self.ctx.child(workflow, input);
                match timeout {
                    Some(milliseconds) => child.timeout(Duration::from_millis(*milliseconds)).run().await,
                    None => child.run().await,
                }
            }
            Statement::Children(count, body) => {
                let input = self.program(body);
                let children = (0..*count).map(|_| self.ctx.child("program", &input).run::<Value>());
                join_all(children).await.into_iter().collect()
            }
            Statement::DropChild(child, body) => {
                let started = self.ctx.child("program", self.program(child)).start().await?;
                let observation = self.block(body, seen).await;
                drop(started);
                observation
            }
            Statement::CancelChild(child, body) => {
                let started = self.ctx.child("program", self.program(child)).start().await?;
                self.block(body, seen).await?;
                started.cancel().await?;
                started.result().await
            }
            Statement::Detach(body) => {
                let run = self.ctx.start_workflow("program", self.program(body)).await?;
                Ok(json!(format!("drawn:{run}")))
            }
            Statement::Increment(key) => {
                self.ctx.db().update(key, |count: Option<u64>| count.unwrap_or(0) + 1).await?;
                Ok(json!("incremented"))
            }
            Statement::Stored(key) => Ok(self.ctx.db().get(key).await?.unwrap_or(Value::Null)),
            Statement::Store(key, value) => {
                self.ctx.db().put(key, value).await?;
                Ok(json!("stored"))
            }
            Statement::Auth => Ok(json!(self.ctx.auth)),
            Statement::Sleep(milliseconds) => {
                self.ctx.sleep(Duration::from_millis(*milliseconds)).await;
                Ok(json!("slept"))
            }
            Statement::Draw => Ok(self.draw()),
            Statement::Token(name) => self.token(name).await,
            Statement::Lookup(name) => Ok(json!(self.ctx.is_step_completed(name))),
            Statement::Join(blocks) => self.join(blocks, seen).await,
            Statement::Race(blocks) => self.race(blocks, seen).await,
            Statement::Repeat(times, body) => self.repeat(*times, body, seen).await,
            Statement::Try(body) => Ok(self.block(body, seen).await.unwrap_or_else(|error| observed(&error))),
            Statement::Log(line) => {
                info!("{line}");
                Ok(json!("logged"))
            }
            Statement::Tag(name, value) => {
                self.ctx.tag(name, value)?;
                Ok(json!("tagged"))
            }
            Statement::Publish(name, value) => {
                self.ctx.publish(name, value);
                Ok(json!("published"))
            }
            Statement::Fail(failure) => Err(error(failure)),
            Statement::Panic(message) => panic!("{message}"),
            Statement::Spin => spin(),
            Statement::Hoard => hoard(),
            Statement::Compensate => {
                self.ctx.run_compensation().await?;
                Ok(json!("compensated"))
            }
        }
    }

    /// Returns a program with the same services.
    fn program(&self, body: &Block) -> Program {
        Program { services: self.services.to_string(), body: body.clone() }
    }

    async fn events_that_are_there(&self, name: &str) -> Result<Value> {
        let mut payloads = Vec::new();
        while let Some(payload) = self.ctx.event(name).try_recv::<Value>().await? {
            payloads.push(payload);
        }
        Ok(Value::Array(payloads))
    }

    async fn send(&self, run: &str, name: &str, payload: &Value, key: Option<&str>) -> Result<Value> {
        let run = if run == "self" { self.ctx.run_id } else { Uuid::parse_str(run)? };
        let event = self.ctx.send_event(run, name, payload);
        match key {
            Some(key) => event.key(key).await?,
            None => event.await?,
        }
        Ok(json!("sent"))
    }

    async fn step(&self, step: &Step, seen: Digest) -> Result<Value> {
        let mut runner = self.ctx.step(&*step.name, || self.block(&step.body, seen));
        if let Some(milliseconds) = step.timeout {
            runner = runner.timeout(Duration::from_millis(milliseconds));
        }
        if let Some((attempts, backoff)) = step.retry {
            runner = runner.retry(RetryPolicy::attempts(attempts).backoff(Duration::from_millis(backoff)));
        }
        if let Some(undo) = &step.undo {
            let (interpreter, undo) = (self.clone(), Rc::new(undo.clone()));
            runner = runner.compensate(move |result: Value| {
                let (interpreter, undo) = (interpreter.clone(), undo.clone());
                async move { interpreter.block(&undo, Digest::of(&result)).await }
            });
        }
        if step.optional {
            return Ok(runner.optional().run().await?.unwrap_or_else(|| json!("gave up")));
        }
        runner.run().await
    }

    async fn manual(&self, name: &str, body: &Block, seen: Digest) -> Result<Value> {
        if self.ctx.is_step_completed(name) {
            return self.ctx.get_step_result(name).context("a completed step has a result");
        }
        self.ctx.record_step_start(name);
        match self.block(body, seen).await {
            Ok(observations) => {
                self.ctx.record_step_complete(name, observations.clone());
                Ok(observations)
            }
            Err(error) => {
                self.ctx.record_step_failure(name, &error);
                Err(error)
            }
        }
    }

    async fn flaky(&self, name: &str, times: u32, seen: Digest) -> Result<Value> {
        let key = format!("{}:{name}:{}", self.ctx.run_id, self.ctx.fresh_uuid());
        answer(self.post(&format!("/flaky/{times}/{name}"), seen).header("Idempotency-Key", key)).await
    }

    async fn token(&self, name: &str) -> Result<Value> {
        let ctx = &self.ctx;
        let body = json!({ "uuid": Uuid::new_v4(), "number": ctx.random(), "fresh": ctx.fresh_uuid() });
        answer(ctx.http().post(self.url(&format!("/effects/{name}"))).json(&body)).await
    }

    async fn never(&self, timeout: Option<u64>, seen: Digest) -> Result<Value> {
        answer(limited(self.post("/never", seen), timeout)).await
    }

    /// Returns values that differ between runs and are the same on every replay.
    fn draw(&self) -> Value {
        let time = self.ctx.workflow_time().timestamp_millis();
        json!(format!("drawn:{}:{}:{time}", Uuid::new_v4(), self.ctx.random()))
    }

    async fn join(&self, blocks: &[Block], seen: Digest) -> Result<Value> {
        let outcomes = join_all(blocks.iter().map(|block| self.block(block, seen))).await;
        outcomes.into_iter().collect()
    }

    async fn race(&self, blocks: &[Block], seen: Digest) -> Result<Value> {
        let (outcome, winner, losers) = select_all(blocks.iter().map(|block| self.block(block, seen))).await;
        drop(losers);
        Ok(json!({ "winner": winner, "saw": outcome? }))
    }

    async fn repeat(&self, times: u32, body: &Block, mut seen: Digest) -> Result<Value> {
        let mut rounds = Vec::new();
        for _ in 0..times {
            let round = self.block(body, seen).await?;
            seen.add(&round);
            rounds.push(round);
        }
        Ok(Value::Array(rounds))
    }

    fn post(&self, path: &str, seen: Digest) -> RequestBuilder {
        self.ctx.http().post(self.url(path)).json(&json!({ "seen": seen.to_string() }))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.services)
    }
}

fn limited(request: RequestBuilder, timeout: Option<u64>) -> RequestBuilder {
    match timeout {
        Some(milliseconds) => request.timeout(Duration::from_millis(milliseconds)),
        None => request,
    }
}

async fn answer(request: RequestBuilder) -> Result<Value> {
    request.send().await?.error_for_status()?.json()
}

fn error(failure: &program::Failure) -> Error {
    let Some(kind) = &failure.kind else { return anyhow!(failure.message.clone()) };
    let error = Failure::new(kind.as_str(), &failure.message);
    if failure.retryable { error.into() } else { error.not_retryable().into() }
}

fn observed(error: &Error) -> Value {
    let kind = error.downcast_ref::<Failure>().map(|failure| failure.kind.as_str());
    json!({ "failed": format!("{error:#}"), "kind": kind })
}

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns).wrapping_add(1);
    }
}

fn hoard() -> ! {
    const MEBIBYTE: usize = 1 << 20;
    let mut hoard = Vec::new();
    loop {
        hoard.push(vec![black_box(1_u8); MEBIBYTE]);
        black_box(&hoard);
    }
}
