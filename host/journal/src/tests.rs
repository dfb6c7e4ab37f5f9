//! The journal and sessions, without a guest: the tests make the calls that a guest would make.

mod notes;

use uuid::Uuid;

use super::*;

/// Effects as the host has them; the journal knows none.
pub(super) const HTTP: EffectKind = EffectKind::new("http");
pub(super) const SLEEP: EffectKind = EffectKind::new("sleep");
pub(super) const TIMEOUT: EffectKind = EffectKind::new("timeout");

const LIMITS: SessionLimits = SessionLimits {
    max_calls: 100,
    max_outstanding: 10,
    max_bytes: u64::MAX,
    kept_log_level: Some(LogLevel::Info),
    log_bytes: 1 << 20,
    published_names: 16,
    published_bytes: 64 << 10,
    compensation_retry: RetryPolicy { max_attempts: 2, backoff_ms: 10, max_backoff_ms: 10 },
    max_retry_after_ms: 1_000,
};

const COMPENSABLE: StepOptions =
    StepOptions { compensable: true, optional: false, timeout_ms: None, retry: None };

fn at(time: i64) -> Timestamp {
    Timestamp(1_000 + time)
}

fn run() -> Run {
    let new = NewRun {
        id: RunId(Uuid::from_u128(7)),
        tenant: "default".into(),
        workflow: "test".into(),
        version: 1,
        digest: "d".into(),
        input: "{}".into(),
        started_at: at(0),
        timeout_ms: 1_000_000,
    };
    Run { status: WorkflowStatus::Running, ..Run::new(new) }
}

fn fresh() -> Session {
    Session::new(Journal::new(run()), LIMITS)
}

/// What a restart does: the rows go to the store and come back.
fn restarted(session: Session) -> Session {
    let journal = session.into_journal();
    let loaded = Journal::load(journal.run().clone(), journal.rows().to_vec());
    Session::new(loaded.expect("the journal is sound"), LIMITS)
}

fn step(session: &mut Session, name: &str, options: StepOptions) -> Entry {
    session.begin_step(Scope::BODY, name, options, at(1)).expect("the step begins")
}

fn executed(entry: Entry) -> Scope {
    match entry {
        Entry::Execute(scope) => scope,
        other => panic!("expected to execute, got {other:?}"),
    }
}

fn send(session: &mut Session, scope: Scope, url: &str) -> CallId {
    let effect = NewEffect {
        kind: HTTP,
        name: url.to_owned(),
        input: format!("\"{url}\""),
        wake_at: None,
        awaits: None,
    };
    session.submit(scope, effect, at(2)).expect("the request is submitted")
}

/// Lets the request of row `seq` end and be delivered.
fn answer(session: &mut Session, seq: u64) -> CallId {
    session.arrive(seq, Ok(Some("{}".into())), at(3)).unwrap();
    match session.next(at(3)).expect("there is a completion") {
        Next::Deliver(call) => call,
        other => panic!("expected a delivery, got {other:?}"),
    }
}

#[test]
fn the_time_of_a_run_stands_still_while_the_clock_is_behind_it() {
    let mut session = fresh();
    assert_eq!(
        session.workflow_time(Scope::BODY, at(-10)).unwrap(),
        at(0),
        "a run does not begin before its start"
    );
    let scope = executed(step(&mut session, "a", StepOptions::default()));
    session.complete_step(scope, Some("1"), at(50)).unwrap();
    assert_eq!(session.workflow_time(Scope::BODY, at(20)).unwrap(), at(50));

    // The time is known after a restart, too, and goes on when the clock has caught up.
    let mut session = restarted(session);
    assert_eq!(session.workflow_time(Scope::BODY, at(21)).unwrap(), at(0));
    assert!(matches!(step(&mut session, "a", StepOptions::default()), Entry::Completed { .. }));
    assert_eq!(session.workflow_time(Scope::BODY, at(22)).unwrap(), at(50));
    assert_eq!(session.workflow_time(Scope::BODY, at(23)).unwrap(), at(50));
    assert_eq!(session.workflow_time(Scope::BODY, at(60)).unwrap(), at(60));
}

#[test]
fn a_step_after_a_low_level_step_that_is_skipped_is_answered_at_once() {
    let mut session = fresh();
    let weigh = session.enter_step(Scope::BODY, "weigh", at(1)).expect("it is entered");
    send(&mut session, weigh, "http://scales");
    answer(&mut session, 2);
    session.complete_step(weigh, Some("1"), at(4)).expect("it completes");
    let pure = executed(step(&mut session, "pure", StepOptions::default()));
    session.complete_step(pure, Some("2"), at(5)).expect("it completes");

    let mut session = restarted(session);
    let found = session.lookup_step("weigh").map(|(status, _)| status);
    assert_eq!(found, Some(StepStatus::Completed));
    let entry = step(&mut session, "pure", StepOptions::default());
    assert!(matches!(entry, Entry::Completed { .. }), "{entry:?}");
}

#[test]
fn a_step_that_ran_without_waiting_is_answered_at_once_in_a_replay() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", StepOptions::default()));
    session.complete_step(scope, Some("1"), at(2)).unwrap();

    let mut session = restarted(session);
    let entry = step(&mut session, "a", StepOptions::default());
    assert!(matches!(entry, Entry::Completed { result: Some(result), .. } if &*result == "1"));
}

#[test]
fn a_step_that_waited_ends_in_a_replay_when_it_ended_then() {
    // Two branches: `a` waits for one request; the other branch's request ends before it.
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", StepOptions::default()));
    send(&mut session, scope, "inner"); // row 2
    send(&mut session, Scope::BODY, "other"); // row 3
    answer(&mut session, 3);
    answer(&mut session, 2);
    session.complete_step(scope, Some("1"), at(4)).unwrap();

    let mut session = restarted(session);
    let Entry::Parked(parked) = step(&mut session, "a", StepOptions::default()) else {
        panic!("the step ended after a delivery, so the guest must wait for it");
    };
    let other = send(&mut session, Scope::BODY, "other");
    assert_eq!(session.next(at(5)).unwrap(), Next::Deliver(other));
    assert_eq!(session.next(at(5)).unwrap(), Next::Deliver(parked));
    assert!(matches!(session.resume_step(parked).unwrap(), Entry::Completed { .. }));
    assert!(session.is_live());
}

#[test]
fn an_interrupted_step_is_entered_again_and_its_finished_calls_are_replayed() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", StepOptions::default()));
    send(&mut session, scope, "first");
    answer(&mut session, 2);
    send(&mut session, scope, "second");

    let mut session = restarted(session);
    let again = executed(step(&mut session, "a", StepOptions::default()));
    assert_eq!(again, scope, "a scope has the same number on every replay");
    let first = send(&mut session, again, "first");
    assert_eq!(session.next(at(5)).unwrap(), Next::Deliver(first));
    send(&mut session, again, "second");
    assert_eq!(session.next(at(5)).unwrap(), Next::Wait);
    assert_eq!(
        session.effects_due().unwrap(),
        [DueEffect { seq: 3, may_have_begun: true }],
        "the second request is in doubt"
    );
}

#[test]
fn another_call_than_the_recorded_one_is_nondeterminism() {
    let mut session = fresh();
    step(&mut session, "a", StepOptions::default());
    let mut session = restarted(session);
    let error = session.begin_step(Scope::BODY, "b", StepOptions::default(), at(1)).unwrap_err();
    let SessionError::Nondeterminism { expected, found } = error else { panic!("{error}") };
    assert_eq!((expected.as_str(), found.as_str()), ("step `a` as call 1 of its scope", "step `b`"));
}

#[test]
fn a_recorded_call_that_the_guest_no_longer_makes_is_nondeterminism() {
    let mut session = fresh();
    send(&mut session, Scope::BODY, "first");
    answer(&mut session, 1);
    let mut session = restarted(session);
    assert!(matches!(session.finish("1", at(5)), Err(SessionError::Nondeterminism { .. })));
}

#[test]
fn a_second_step_with_a_name_gets_a_number_and_keeps_it() {
    let mut session = fresh();
    for _ in 0..2 {
        let scope = executed(step(&mut session, "charge", StepOptions::default()));
        session.complete_step(scope, Some("1"), at(2)).unwrap();
    }
    let names: Vec<&str> = session.journal().rows().iter().map(|row| &*row.name).collect();
    assert_eq!(names, ["charge", "charge#2"]);

    let mut session = restarted(session);
    for _ in 0..2 {
        assert!(matches!(step(&mut session, "charge", StepOptions::default()), Entry::Completed { .. }));
    }
    step(&mut session, "charge", StepOptions::default());
    assert_eq!(&*session.journal().rows()[2].name, "charge#3");
}

#[test]
fn a_rollback_replays_to_the_last_handler_and_unwinds_there() {
    let mut session = fresh();
    for name in ["a", "b"] {
        let scope = executed(step(&mut session, name, COMPENSABLE));
        session.complete_step(scope, Some("1"), at(2)).unwrap();
    }
    step(&mut session, "c", StepOptions::default());
    session.unwind(Failure::new(kind::PANIC, "boom"), at(3)).unwrap();
    assert_eq!(session.journal().rows()[2].status, StepStatus::Failed);

    let mut session = restarted(session);
    let Entry::Completed { receipt, .. } = step(&mut session, "a", COMPENSABLE) else { panic!() };
    assert!(!receipt.unwind);
    let Entry::Completed { receipt, .. } = step(&mut session, "b", COMPENSABLE) else { panic!() };
    assert!(receipt.unwind, "every handler is registered here");
    for step in [2, 1] {
        let scope = executed(session.begin_compensation(step, at(4)).unwrap());
        session.complete_step(scope, None, at(5)).unwrap();
    }
    let mut journal = session.into_journal();
    journal.apply(Event::RolledBack, at(6)).unwrap();
    assert_eq!(journal.run().status, WorkflowStatus::Compensated);
}

#[test]
fn a_step_around_a_handler_is_entered_again_although_it_completed() {
    let mut session = fresh();
    let outer = executed(step(&mut session, "outer", StepOptions::default()));
    let inner = session.begin_step(outer, "inner", COMPENSABLE, at(1)).unwrap();
    session.complete_step(executed(inner), Some("1"), at(2)).unwrap();
    session.complete_step(outer, Some("2"), at(2)).unwrap();

    let mut session = restarted(session);
    let outer = executed(step(&mut session, "outer", StepOptions::default()));
    assert!(matches!(
        session.begin_step(outer, "inner", COMPENSABLE, at(1)).unwrap(),
        Entry::Completed { .. }
    ));
    let receipt = session.complete_step(outer, Some("2"), at(2)).unwrap();
    assert_eq!((receipt.order, session.journal().last_order()), (2, 2), "nothing new was recorded");
}

#[test]
fn a_compensation_that_failed_is_retried_then_reported_and_reopened() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", COMPENSABLE));
    session.complete_step(scope, Some("1"), at(2)).unwrap();
    session.unwind(Failure::new(kind::ERROR, "no"), at(3)).unwrap();
    let scope = executed(session.begin_compensation(1, at(4)).unwrap());
    let failure = Failure::new(kind::HTTP, "refund refused");
    let Verdict::Retry(retry) = session.fail_step(scope, failure.clone(), |_| None, at(5)).unwrap() else {
        panic!()
    };
    assert_eq!(session.next(at(6)).unwrap(), Next::Wait);
    session.fire(at(15));
    assert_eq!(session.next(at(15)).unwrap(), Next::Deliver(retry));
    let scope = executed(session.resume_step(retry).unwrap());
    assert_eq!(scope.attempt, 2);
    assert_eq!(session.fail_step(scope, failure.clone(), |_| None, at(16)).unwrap(), Verdict::Final(failure));
    let mut journal = session.into_journal();
    journal.apply(Event::RolledBack, at(17)).unwrap();
    assert_eq!(journal.run().status, WorkflowStatus::Failed);
    assert_eq!(journal.run().error().unwrap(), "no; `a` is not compensated: refund refused");

    journal.apply(Event::Reopened, at(18)).unwrap();
    let mut session = restarted(Session::new(journal, LIMITS));
    assert!(
        matches!(step(&mut session, "a", COMPENSABLE), Entry::Completed { receipt, .. } if receipt.unwind)
    );
    let Entry::Parked(parked) = session.begin_compensation(1, at(19)).unwrap() else { panic!() };
    assert_eq!(session.next(at(19)).unwrap(), Next::Deliver(parked));
    assert_eq!(executed(session.resume_step(parked).unwrap()).attempt, 3);
}

#[test]
fn a_dropped_request_is_not_delivered_and_not_awaited() {
    let mut session = fresh();
    let winner = send(&mut session, Scope::BODY, "winner");
    let loser = send(&mut session, Scope::BODY, "loser");
    assert_eq!(answer(&mut session, 1), winner);
    session.cancel(loser, at(4)).unwrap();
    session.arrive(2, Ok(None), at(3)).unwrap();
    assert_eq!(session.next(at(5)), Err(SessionError::Guest(GuestError::Deadlock)));
    assert_eq!(session.journal().rows()[1].status, StepStatus::Skipped);
}

#[test]
fn a_completion_costs_the_same_with_many_calls_under_way() {
    const MANY: u64 = 20_000;
    let limits = SessionLimits { max_calls: MANY, max_outstanding: 20_000, ..LIMITS };
    let mut session = Session::new(Journal::new(run()), limits);
    let calls: Vec<CallId> = (0..MANY).map(|_| send(&mut session, Scope::BODY, "a")).collect();
    assert_eq!(session.effects_due().unwrap().len(), calls.len());
    let begun = std::time::Instant::now();
    for (seq, call) in (1..).zip(calls) {
        assert_eq!(answer(&mut session, seq), call);
        assert_eq!(session.effects_due().unwrap(), []);
        assert!(session.next_timer().is_none() && session.waits_only_for(|_| true));
    }
    // Each of them looked at every call: 10^9 looks.
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

#[test]
fn foreign_scopes_and_calls_are_refused() {
    let mut session = fresh();
    let foreign = Scope { step: 9, attempt: 1 };
    assert!(matches!(
        session.begin_step(foreign, "a", StepOptions::default(), at(1)),
        Err(SessionError::Guest(GuestError::ForeignScope(_)))
    ));
    assert!(matches!(session.outcome(77, HTTP), Err(SessionError::Guest(GuestError::ForeignCall(77)))));
    assert!(matches!(
        session.begin_compensation(1, at(1)),
        Err(SessionError::Guest(GuestError::NotCompensable(1)))
    ));
    let scope = executed(step(&mut session, "a", StepOptions::default()));
    assert!(session.complete_step(scope, Some("no json"), at(2)).is_err());
}

#[test]
fn rows_that_contradict_each_other_are_a_typed_error() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", StepOptions::default()));
    send(&mut session, scope, "inner");
    let journal = session.into_journal();
    let rows = journal.rows().to_vec();
    let without_first = Journal::load(run(), rows[1..].to_vec());
    assert_eq!(without_first.unwrap_err().why, "a row before it is missing");
    let mut twice = rows.clone();
    twice[1] = Row { seq: 2, ..rows[0].clone() };
    assert_eq!(Journal::load(run(), twice).unwrap_err().why, "another row is the same call");
    let mut late = rows;
    late[0].order = Some(u64::MAX);
    assert_eq!(Journal::load(run(), late).unwrap_err().why, "its delivery number is out of range");
}

#[test]
fn an_event_that_cannot_happen_changes_nothing() {
    let mut journal = Journal::new(run());
    let before = journal.run().clone();
    assert!(journal.apply(Event::RolledBack, at(1)).is_err());
    assert!(journal.apply(Event::Completed { seq: 1, result: None }, at(1)).is_err());
    assert!(journal.apply(Event::Resumed, at(1)).is_err());
    assert_eq!(journal.run(), &before);
    assert!(journal.take_changes().is_empty());
}

#[test]
fn a_run_is_terminated_in_every_status_that_is_not_final_and_lists_what_is_not_compensated() {
    let mut session = fresh();
    let first = executed(step(&mut session, "first", COMPENSABLE));
    session.complete_step(first, None, at(1)).unwrap();
    executed(step(&mut session, "second", COMPENSABLE));
    let journal = session.into_journal();
    let failure = Failure::permanent(kind::TERMINATED, "by hand");
    let terminate = || Event::Terminated { failure: failure.clone(), in_doubt: vec![] };
    let unwinding = || Event::Unwinding { failure: Failure::permanent(kind::ERROR, "no") };
    let pause = |journal: &Journal| {
        Event::Paused(Pause::of(journal.run(), PauseReason::Nondeterminism, "why".to_owned()))
    };
    let in_status: [fn(&mut Journal) -> Vec<Event>; 4] = [
        |_| vec![],
        |_| vec![Event::Waiting { until: at(5), waits_for: None }],
        |_| vec![Event::Unwinding { failure: Failure::permanent(kind::ERROR, "no") }],
        |journal| {
            vec![Event::Paused(Pause::of(journal.run(), PauseReason::Nondeterminism, "why".to_owned()))]
        },
    ];
    for events in in_status {
        let mut journal = journal.clone();
        for event in events(&mut journal) {
            journal.apply(event, at(2)).unwrap();
        }
        journal.apply(terminate(), at(3)).unwrap();
        let run = journal.run();
        assert_eq!(
            (run.status, run.failure.as_ref(), &run.pause),
            (WorkflowStatus::Failed, Some(&failure), &None)
        );
        assert_eq!(run.uncompensated, ["first".into()]);
        assert!(journal.rows().iter().all(|row| !row.is_open()));
        assert!(journal.is_terminated());
        for event in [terminate(), unwinding(), pause(&journal), Event::Resumed] {
            let before = journal.rows().to_vec();
            journal.apply(event, at(4)).unwrap_err();
            assert_eq!(journal.rows(), before);
        }
        let reloaded = Journal::load(journal.run().clone(), journal.rows().to_vec()).unwrap();
        assert_eq!(reloaded.resolvable("first"), Ok(1));
        assert!(matches!(reloaded.resolvable("second"), Err(Unresolvable::NotInDoubt(_))));
        assert_eq!(reloaded.resolvable("third"), Err(Unresolvable::Unknown));
    }
}

#[test]
fn a_resolved_compensation_is_not_executed_and_the_others_are() {
    let mut session = fresh();
    for name in ["first", "second"] {
        let scope = executed(step(&mut session, name, COMPENSABLE));
        session.complete_step(scope, None, at(1)).unwrap();
    }
    session.unwind(Failure::permanent(kind::ERROR, "no"), at(2)).unwrap();
    let scope = executed(session.begin_compensation(2, at(3)).unwrap());
    send(&mut session, scope, "undo second");
    let mut journal = *session.into_journal();
    let seq = journal.resolvable("second").unwrap();
    journal.apply(Event::Resolved { seq, outcome: Ok(None) }, at(4)).unwrap();
    assert_eq!(journal.row(2).unwrap().status, StepStatus::Compensated);
    assert!(journal.rows().iter().all(|row| !row.is_open()), "the request in it is skipped");

    // The handler of a terminated run has not begun: its row is made.
    let mut ended = journal.clone();
    ended
        .apply(
            Event::Terminated { failure: Failure::permanent(kind::TERMINATED, "by hand"), in_doubt: vec![] },
            at(5),
        )
        .unwrap();
    ended.apply(Event::Resolved { seq: 1, outcome: Ok(None) }, at(6)).unwrap();
    assert_eq!((ended.run().status, ended.run().uncompensated.len()), (WorkflowStatus::Compensated, 0));
    Journal::load(ended.run().clone(), ended.rows().to_vec()).unwrap();

    let mut session = restarted(Session::new(journal, LIMITS));
    for name in ["first", "second"] {
        assert!(matches!(step(&mut session, name, COMPENSABLE), Entry::Completed { .. }));
    }
    assert!(matches!(session.begin_compensation(2, at(7)).unwrap(), Entry::Completed { .. }));
    let scope = executed(session.begin_compensation(1, at(7)).unwrap());
    session.complete_step(scope, None, at(8)).unwrap();
    let mut journal = session.into_journal();
    journal.apply(Event::RolledBack, at(9)).unwrap();
    assert_eq!(journal.run().status, WorkflowStatus::Compensated);
}

#[test]
fn what_is_discarded_of_a_run_that_the_store_never_had_is_not_its_start() {
    let mut session = Session::new(Journal::unsaved(run()), LIMITS);
    executed(step(&mut session, "a", StepOptions::default()));
    let mut journal = session.into_journal();
    journal.discard_changes();
    let changes = journal.take_changes();
    assert!(changes.new_run && changes.run.is_some() && changes.rows.is_empty(), "{changes:?}");

    let mut session = fresh();
    executed(step(&mut session, "a", StepOptions::default()));
    let mut journal = session.into_journal();
    journal.discard_changes();
    assert!(!journal.has_changes());
}

#[test]
fn a_timer_that_is_asked_for_again_and_again_is_kept_once() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", StepOptions::default()));
    let timeout = || NewEffect {
        kind: TIMEOUT,
        name: "5ms".to_owned(),
        input: "5".to_owned(),
        wake_at: Some(at(5)),
        awaits: None,
    };
    for _ in 0..100 {
        session.submit_for_scope(scope, timeout(), at(1)).unwrap();
    }
    assert_eq!(session.calls_kept(), 1);
    session.fire(at(5));
    assert!(matches!(session.next(at(5)), Ok(Next::Deliver(_))));
    assert_eq!(session.calls_kept(), 0, "there is nothing to take of a timer");
}

#[test]
fn a_document_that_is_nested_too_deep_is_not_recorded() {
    let mut session = Session::new(Journal::new(run()), LIMITS);
    let scope = executed(session.begin_step(Scope::BODY, "a", StepOptions::default(), at(1)).unwrap());
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let Err(SessionError::Limit(failure)) = session.complete_step(scope, Some(&deep), at(1)) else {
        panic!("it is recorded")
    };
    assert_eq!(failure.message, "the result of step `a` has more than 127 levels of arrays and objects");
    let scope = executed(session.begin_step(Scope::BODY, "b", StepOptions::default(), at(1)).unwrap());
    session.complete_step(scope, Some(&deep[1..255]), at(1)).unwrap();
    assert!(matches!(session.finish(&deep, at(1)), Err(SessionError::Limit(_))));
}

#[test]
fn a_rollback_may_take_as_many_bytes_again_and_failures_count() {
    let limits = SessionLimits { max_bytes: 1_000, ..LIMITS };
    let mut session = Session::new(Journal::new(run()), limits);
    let failed = |session: &mut Session, name: &str| {
        let scope = executed(session.begin_step(Scope::BODY, name, StepOptions::default(), at(1))?);
        session.fail_step(scope, Failure::permanent("error", "x".repeat(400)), |_| None, at(1)).map(drop)
    };
    for name in ["a", "b", "c"] {
        failed(&mut session, name).unwrap();
    }
    assert!(matches!(failed(&mut session, "d"), Err(SessionError::Limit(_))));
    session.unwind(Failure::permanent("error", "no"), at(1)).unwrap();
    assert!(session.check_bytes(0).is_ok(), "a rollback has room");
    session.grow(1_000);
    assert!(session.check_bytes(0).is_err(), "and that room ends");
}

#[test]
fn a_run_makes_no_call_that_its_tenant_has_no_room_for_and_a_rollback_has_as_much_room_again() {
    let mut session = Session::new(Journal::new(run()), LIMITS);
    let full = |used| Storage { used, limit: 1_000 };
    session.set_storage(full(999));
    let scope = executed(step(&mut session, "a", COMPENSABLE));
    session.complete_step(scope, Some("1"), at(2)).unwrap();
    session.set_storage(full(1_000));
    let refused = session.begin_step(Scope::BODY, "b", StepOptions::default(), at(2));
    let Err(SessionError::Limit(failure)) = refused else { panic!("{refused:?}") };
    for words in ["have 1000 bytes", "the most is 1000 (storage_bytes)", "forge runs delete"] {
        assert!(failure.message.contains(words), "{failure}");
    }
    session.unwind(failure, at(3)).unwrap();
    let scope = executed(session.begin_compensation(1, at(4)).unwrap());
    session.set_storage(full(1_999));
    session.workflow_time(scope, at(5)).unwrap();
    session.set_storage(full(2_000));
    assert!(
        matches!(session.workflow_time(scope, at(6)), Err(SessionError::Limit(_))),
        "that room ends, too"
    );
}

#[test]
fn a_step_of_the_low_level_api_is_found_again_although_one_of_its_name_is_skipped() {
    let mut session = fresh();
    for name in ["a", "b"] {
        let outer = executed(step(&mut session, name, StepOptions::default()));
        let inner = session.enter_step(outer, "upload", at(1)).unwrap();
        send(&mut session, inner, name);
        if name == "a" {
            answer(&mut session, 3);
            session.complete_step(inner, None, at(1)).unwrap();
            session.complete_step(outer, Some("1"), at(1)).unwrap();
        }
    }
    let mut session = restarted(session);
    // It waited, and ends as it did then.
    let Entry::Parked(call) = step(&mut session, "a", StepOptions::default()) else {
        panic!("it is skipped")
    };
    assert!(matches!(session.next(at(1)), Ok(Next::Deliver(delivered)) if delivered == call));
    assert!(matches!(session.resume_step(call), Ok(Entry::Completed { .. })));
    let outer = executed(step(&mut session, "b", StepOptions::default()));
    let inner = session.enter_step(outer, "upload", at(1)).unwrap();
    assert_eq!(session.journal().row(inner.step).map(|row| &*row.name), Some("upload#2"));
    send(&mut session, inner, "b");
    assert_eq!(session.journal().rows().len(), 6, "nothing new was recorded");
}

/// Begins the handler of the step in row 1, with two requests at once and a low-level step, which are rows 3 to 6.
fn handler(session: &mut Session) -> [CallId; 3] {
    let handler = executed(session.begin_compensation(1, at(1)).unwrap());
    let calls = ["one", "other"].map(|url| send(session, handler, url));
    let refund = session.enter_step(handler, "refund", at(1)).unwrap();
    let refunded = send(session, refund, "refund");
    [calls[0], calls[1], refunded]
}

#[test]
fn a_handler_that_a_rollback_interrupts_sees_the_same_in_the_same_order_before_and_after_a_restart() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", COMPENSABLE));
    session.complete_step(scope, Some("1"), at(1)).unwrap();
    // The workflow runs it itself. The second request is answered first, and the one of the low-level step never.
    handler(&mut session);
    answer(&mut session, 4);
    answer(&mut session, 3);
    session.unwind(Failure::permanent("error", "no"), at(4)).unwrap();

    let rows = session.journal().rows().len();
    let seen = |session: &mut Session, [one, other, refunded]: [CallId; 3]| {
        let seen = [session.next(at(5)).unwrap(), session.next(at(5)).unwrap()];
        assert_eq!(seen, [Next::Deliver(other), Next::Deliver(one)]);
        assert_eq!(session.next(at(5)).unwrap(), Next::Wait);
        assert_eq!(session.effects_due().unwrap().len(), 1);
        assert_eq!(answer(session, 6), refunded);
        assert_eq!(session.journal().rows().len(), rows, "nothing new was recorded");
    };
    let mut again = restarted(Session::new(session.journal().clone(), LIMITS));
    let calls = handler(&mut session);
    seen(&mut session, calls);

    let unwinds = |entry: Entry| matches!(entry, Entry::Completed { receipt, .. } if receipt.unwind);
    assert!(unwinds(step(&mut again, "a", COMPENSABLE)));
    let calls = handler(&mut again);
    seen(&mut again, calls);
}

#[test]
fn what_a_handler_does_is_not_undone() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", COMPENSABLE));
    session.complete_step(scope, Some("1"), at(1)).unwrap();
    session.unwind(Failure::permanent("error", "no"), at(1)).unwrap();
    let handler = executed(session.begin_compensation(1, at(1)).unwrap());
    let back = executed(session.begin_step(handler, "back", COMPENSABLE, at(1)).unwrap());
    session.complete_step(back, Some("1"), at(1)).unwrap();
    assert!(!session.journal().row(back.step).unwrap().is_compensable());
    // A guest that does not know that asks for it.
    let nothing = session.begin_compensation(back.step, at(1)).unwrap();
    assert!(matches!(nothing, Entry::Completed { result: None, .. }), "{nothing:?}");
}

#[test]
fn changes_say_which_rows_are_new() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", StepOptions::default()));
    send(&mut session, scope, "first");
    let counts = |changes: Changes| (changes.rows.len(), changes.new_rows);
    assert_eq!(counts(session.journal_mut().take_changes()), (2, 2));
    answer(&mut session, 2);
    send(&mut session, scope, "second");
    assert_eq!(counts(session.journal_mut().take_changes()), (2, 1), "one has changed, and one is new");
    let mut session = restarted(session);
    executed(step(&mut session, "a", StepOptions::default()));
    assert_eq!(session.journal_mut().take_changes().new_rows, 0, "the store has all");
}

#[test]
fn idempotency_keys_name_the_way_to_a_request_and_not_the_attempt() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", COMPENSABLE));
    send(&mut session, scope, "x");
    let journal = session.journal();
    let key = journal.idempotency_key(&journal.rows()[1]);
    assert_eq!(key, format!("{}:0:0", run().id));
}

#[test]
fn low_level_steps_stand_in_idempotency_keys_by_a_name_that_no_index_can_be() {
    let mut session = fresh();
    let fluent = executed(step(&mut session, "a", StepOptions::default()));
    send(&mut session, fluent, "x");
    let low_level = session.enter_step(Scope::BODY, "0", at(1)).unwrap();
    send(&mut session, low_level, "y");
    let odd = session.enter_step(Scope::BODY, "a/b:\nc", at(1)).unwrap();
    send(&mut session, odd, "z");
    let journal = session.journal();
    let keys: Vec<String> = journal
        .rows()
        .iter()
        .filter(|row| row.kind == Kind::Effect(HTTP))
        .map(|row| journal.idempotency_key(row))
        .collect();
    assert_eq!(keys, ["0:0", "@0:0", "@a%2Fb%3A%0Ac:0"].map(|key| format!("{}:{key}", run().id)));
}

#[test]
fn a_replay_sees_a_step_as_completed_until_it_comes_to_its_compensation() {
    let mut session = fresh();
    let scope = executed(step(&mut session, "a", COMPENSABLE));
    session.complete_step(scope, Some("1"), at(2)).unwrap();
    let scope = executed(session.begin_compensation(1, at(3)).unwrap());
    session.complete_step(scope, None, at(4)).unwrap();
    assert_eq!(session.lookup_step("a").unwrap().0, StepStatus::Compensated);

    let mut session = restarted(session);
    assert_eq!(session.lookup_step("a"), None);
    step(&mut session, "a", COMPENSABLE);
    assert_eq!(session.lookup_step("a").unwrap().0, StepStatus::Completed);
    session.begin_compensation(1, at(5)).unwrap();
    assert_eq!(session.lookup_step("a").unwrap().0, StepStatus::Compensated);
}

#[test]
fn a_further_attempt_begins_no_earlier_than_a_response_allows_within_the_limit() {
    for (asked, expected) in [(None, 10), (Some(5), 10), (Some(500), 500), (Some(5_000), 1_000)] {
        let mut session = fresh();
        let retry = Some(RetryPolicy { max_attempts: 2, backoff_ms: 10, max_backoff_ms: 10 });
        let scope = executed(step(&mut session, "a", StepOptions { retry, ..StepOptions::default() }));
        let not_before = |_: &Journal| asked.map(at);
        session.fail_step(scope, Failure::new(kind::HTTP, "not now"), not_before, at(0)).unwrap();
        assert_eq!(session.next_timer(), Some(at(expected)), "{asked:?}");
    }
}

#[test]
fn the_calls_of_an_attempt_are_found_with_those_of_nested_steps_and_of_earlier_attempts() {
    let mut session = fresh();
    let retry = Some(RetryPolicy { max_attempts: 2, backoff_ms: 10, max_backoff_ms: 10 });
    let options = StepOptions { retry, ..StepOptions::default() };
    let other = executed(step(&mut session, "other", StepOptions::default()));
    send(&mut session, other, "http://other");
    let first = executed(step(&mut session, "a", options));
    let inner = executed(session.begin_step(first, "inner", StepOptions::default(), at(1)).unwrap());
    send(&mut session, inner, "http://inner");
    let failure = Failure::new(kind::HTTP, "no");
    session.fail_step(inner, failure.clone(), |_| None, at(2)).unwrap();
    let Verdict::Retry(retry) = session.fail_step(first, failure, |_| None, at(2)).unwrap() else { panic!() };
    session.fire(at(20));
    assert_eq!(session.next(at(20)).unwrap(), Next::Deliver(retry));
    let second = executed(session.resume_step(retry).unwrap());
    let inner = executed(session.begin_step(second, "inner", StepOptions::default(), at(21)).unwrap());
    send(&mut session, inner, "http://inner");

    let journal = session.journal();
    let seqs = |rows: Vec<&Row>| rows.into_iter().map(|row| row.seq).collect::<Vec<_>>();
    assert_eq!(seqs(journal.rows_within(first).collect()), [4, 5]);
    assert_eq!(seqs(journal.rows_within(second).collect()), [6, 7]);
    let last = journal.row(7).unwrap();
    assert_eq!(seqs(journal.earlier_attempts_of(last).collect()), [5]);
    assert_eq!(seqs(journal.rows_before(last).collect()), [5, 2]);
    let earlier = journal.row(5).unwrap();
    assert_eq!(journal.idempotency_key(earlier), journal.idempotency_key(last));
}

#[test]
fn an_answer_that_the_journal_has_no_room_for_is_the_failure_of_its_call() {
    let mut session = Session::new(Journal::new(run()), SessionLimits { max_bytes: 1_000, ..LIMITS });
    let call = send(&mut session, Scope::BODY, "http://a");
    session.arrive(1, Ok(Some("x".repeat(1_001).into())), at(3)).unwrap();
    assert_eq!(session.next(at(3)).unwrap(), Next::Deliver(call));
    let failure = session.outcome(call, HTTP).unwrap().unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.retryable), (kind::LIMIT, false));
    assert!(failure.message.contains("journal_bytes_per_run"), "{failure}");
    assert!(session.check_bytes(0).is_ok(), "the run goes on");
}
