//! The notes of a run: lines and published values.

use super::*;

/// A database: what is saved of a journal survives in it.
struct Saved {
    run: Run,
    rows: Vec<Row>,
    lines: Vec<LogLine>,
}

impl Saved {
    fn new() -> Self {
        Self { run: run(), rows: Vec::new(), lines: Vec::new() }
    }

    fn save(&mut self, session: &mut Session) -> Growth {
        let Changes { run, rows, lines, grown, .. } = session.journal_mut().take_changes();
        if let Some(run) = run {
            self.run = *run;
        }
        for row in rows {
            let place = row.seq as usize - 1;
            self.rows.truncate(self.rows.len().max(place));
            if place < self.rows.len() {
                self.rows[place] = row;
            } else {
                self.rows.push(row);
            }
        }
        self.lines.extend(lines);
        grown
    }

    /// What a restart does.
    fn load(&self) -> Session {
        let loaded = Journal::load(self.run.clone(), self.rows.clone());
        Session::new(loaded.expect("what is saved is sound"), LIMITS)
    }

    /// Returns the lines as text, with the steps that logged them.
    fn text(&self) -> Vec<String> {
        let seqs: Vec<u64> = self.lines.iter().map(|line| line.seq).collect();
        assert_eq!(seqs, (1..=self.lines.len() as u64).collect::<Vec<_>>());
        let line = |line: &LogLine| match &line.step {
            Some(step) => format!("{step}#{}: {}", line.scope.attempt, line.message),
            None => line.message.to_string(),
        };
        self.lines.iter().map(line).collect()
    }
}

fn log(session: &mut Session, scope: Scope, message: &str) {
    if let Some(note) = session.note(scope)
        && session.keeps(LogLevel::Info)
        && session.is_past_records()
    {
        session.log(note, LogLevel::Info, message, at(2)).unwrap();
    }
}

fn publish(session: &mut Session, name: &str, value: &str) -> Result<(), Failure> {
    match session.note(Scope::BODY) {
        Some(note) => session.publish(note, name, Document::parse(value).unwrap(), at(2)).unwrap(),
        None => Ok(()),
    }
}

fn published_by(session: &Session) -> Option<&str> {
    session.journal().run().published.as_deref()
}

#[test]
fn lines_are_saved_with_the_next_changes_and_are_no_changes_themselves() {
    let (mut session, mut saved) = (fresh(), Saved::new());
    log(&mut session, Scope::BODY, "begin");
    assert!(!session.journal().has_changes());
    let changes = session.journal_mut().take_changes();
    assert!(changes.is_empty() && changes.lines.is_empty());

    executed(step(&mut session, "a", StepOptions::default()));
    let revision = saved.run.revision + 1;
    let grown = saved.save(&mut session);
    assert_eq!(saved.text(), ["begin"]);
    let line = &saved.lines[0];
    assert_eq!((line.level, line.at, line.revision), (LogLevel::Info, at(2), revision));
    assert_eq!(grown.bytes.cast_unsigned(), line.stored_bytes() + saved.rows[0].stored_bytes());
    assert_eq!(saved.run.notes, Notes { body: 1, lines: 1, bytes: line.stored_bytes(), is_full: false });
    assert!(session.journal_mut().take_changes().is_empty());
}

#[test]
fn a_replay_keeps_no_line_again_and_code_that_runs_again_keeps_those_that_a_crash_lost() {
    let mut saved = Saved::new();
    // The guest crashes after this many of its actions, and what it has done up to one of them is saved.
    for (crash, commit) in [(1, 0), (3, 2), (5, 4), (5, 5), (8, 6), (9, 8), (10, 10), (10, 0)] {
        let mut session = saved.load();
        if session.journal().run().status.is_final() {
            break;
        }
        let mut scope = Scope::BODY;
        for action in 1..=crash {
            match action {
                1 => log(&mut session, Scope::BODY, "begin"),
                2 => match step(&mut session, "a", StepOptions::default()) {
                    Entry::Execute(entered) => scope = entered,
                    // It has ended: the guest goes on behind it.
                    Entry::Parked(_) => {
                        assert!(matches!(session.next(at(4)).unwrap(), Next::Deliver(_)));
                        scope = Scope::BODY;
                    }
                    other => panic!("{other:?}"),
                },
                3..9 if scope == Scope::BODY => {}
                3 => log(&mut session, scope, "in the step"),
                4 => drop(send(&mut session, scope, "http://x")),
                5 => log(&mut session, scope, "sent"),
                6 if session.is_live() => drop(answer(&mut session, 2)),
                6 => assert!(matches!(session.next(at(3)).unwrap(), Next::Deliver(_))),
                7 => log(&mut session, scope, "answered"),
                8 => drop(session.complete_step(scope, Some("1"), at(4)).unwrap()),
                9 => log(&mut session, Scope::BODY, "end"),
                _ => session.finish("1", at(5)).unwrap(),
            }
            if action == commit {
                saved.save(&mut session);
            }
        }
    }
    assert_eq!(saved.text(), ["begin", "a#1: in the step", "a#1: sent", "a#1: answered", "end"]);
    assert_eq!(saved.run.status, WorkflowStatus::Completed);
}

#[test]
fn a_line_after_the_last_call_is_kept_once_however_often_the_run_is_loaded() {
    let mut saved = Saved::new();
    for _ in 0..3 {
        let mut session = saved.load();
        log(&mut session, Scope::BODY, "before the request");
        send(&mut session, Scope::BODY, "http://x");
        log(&mut session, Scope::BODY, "it is under way");
        let until = Event::Waiting { until: at(9), waits_for: None };
        session.journal_mut().apply(until, at(3)).unwrap();
        saved.save(&mut session);
    }
    assert_eq!(saved.text(), ["before the request", "it is under way"]);
}

#[test]
fn each_attempt_of_a_step_has_its_own_lines() {
    let retry = Some(RetryPolicy { max_attempts: 3, backoff_ms: 1, max_backoff_ms: 1 });
    let options = StepOptions { retry, ..StepOptions::default() };
    let (mut session, mut saved) = (fresh(), Saved::new());
    let mut scope = executed(step(&mut session, "a", options));
    for attempt in 1..3 {
        log(&mut session, scope, "try");
        let failed = session.fail_step(scope, Failure::new("error", "no"), |_| None, at(3)).unwrap();
        let Verdict::Retry(call) = failed else { panic!("attempt {attempt} is not the last") };
        session.fire(at(1_000));
        assert_eq!(session.next(at(1_000)).unwrap(), Next::Deliver(call));
        scope = executed(session.resume_step(call).unwrap());
    }
    log(&mut session, scope, "try");
    saved.save(&mut session);
    assert_eq!(saved.text(), ["a#1: try", "a#2: try", "a#3: try"]);

    // The guest enters the third attempt again, and makes its first line again, and another one.
    let mut session = saved.load();
    let Entry::Parked(call) = step(&mut session, "a", options) else { panic!("it waits for its attempt") };
    for _ in 0..2 {
        assert!(matches!(session.next(at(2_000)).unwrap(), Next::Deliver(_)));
        if session.is_live() {
            break;
        }
    }
    let scope = executed(session.resume_step(call).unwrap());
    log(&mut session, scope, "try");
    log(&mut session, scope, "go on");
    session.complete_step(scope, Some("1"), at(2_000)).unwrap();
    saved.save(&mut session);
    assert_eq!(saved.text(), ["a#1: try", "a#2: try", "a#3: try", "a#3: go on"]);
}

#[test]
fn lines_beyond_the_limit_are_dropped_for_the_rest_of_the_run_and_the_last_one_says_so() {
    let limits = SessionLimits { log_bytes: 400, ..LIMITS };
    let mut saved = Saved::new();
    for calls in [1, 2] {
        let mut session = Session::new(Journal::load(saved.run.clone(), saved.rows.clone()).unwrap(), limits);
        for _ in 0..4 {
            log(&mut session, Scope::BODY, &"x".repeat(50));
        }
        for name in ["a", "b"].into_iter().take(calls) {
            step(&mut session, name, StepOptions::default());
            log(&mut session, Scope::BODY, "one more");
        }
        saved.save(&mut session);
    }
    let text = saved.text();
    assert_eq!(text.len(), 3, "{text:?}");
    assert!(text[2].contains("the most that is kept of one run is 400 (log_bytes_per_run)"), "{}", text[2]);
    assert_eq!(saved.lines[2].level, LogLevel::Warn);
    assert!(saved.run.notes.is_full);
}

#[test]
fn a_tenant_without_room_keeps_no_more_lines() {
    let mut session = fresh();
    session.set_storage(Storage { used: 1_000, limit: 1_050 });
    log(&mut session, Scope::BODY, "hello");
    session.set_storage(Storage::default());
    executed(step(&mut session, "a", StepOptions::default()));
    let mut saved = Saved::new();
    saved.save(&mut session);
    assert!(saved.text()[0].contains("the most is 1050 (storage_bytes)"), "{:?}", saved.text());
}

#[test]
fn the_last_value_of_each_name_is_published_and_a_replay_publishes_nothing_again() {
    let (mut session, mut saved) = (fresh(), Saved::new());
    publish(&mut session, "progress", "1").unwrap();
    assert!(!session.journal().has_changes(), "it waits for another change");
    publish(&mut session, "progress", " 2.0 ").unwrap();
    publish(&mut session, "note", "{\"a\": []}").unwrap();
    assert_eq!(published_by(&session), Some(r#"{"note":{"a":[]},"progress":2.0}"#));
    assert!(saved.run.published.is_none() && session.journal().has_unsaved_notes());
    session.journal_mut().save_notes();
    let grown = saved.save(&mut session);
    assert!(!session.journal().has_unsaved_notes());
    assert_eq!(grown.bytes, r#"{"note":{"a":[]},"progress":2.0}"#.len() as i64);

    let mut session = saved.load();
    publish(&mut session, "progress", "1").unwrap();
    assert!(!session.journal().has_changes());
    assert_eq!(published_by(&session), Some(r#"{"note":{"a":[]},"progress":2.0}"#));
}

#[test]
fn what_a_run_publishes_is_bounded() {
    let limits = SessionLimits { published_names: 2, published_bytes: 40, ..LIMITS };
    let mut session = Session::new(Journal::new(run()), limits);
    for name in ["a", "b", "a"] {
        publish(&mut session, name, "1").unwrap();
    }
    let refused = publish(&mut session, "c", "1").unwrap_err();
    assert!(refused.message.contains("has published 2 names, the most"), "{refused}");
    let refused = publish(&mut session, "b", &format!("\"{}\"", "x".repeat(40))).unwrap_err();
    assert!(refused.message.contains("the most is 40 (published_bytes)"), "{refused}");
    assert_eq!(published_by(&session), Some(r#"{"a":1,"b":1}"#));
}

#[test]
fn notes_that_are_discarded_are_made_again() {
    let (mut session, mut saved) = (fresh(), Saved::new());
    publish(&mut session, "progress", "1").unwrap();
    session.journal_mut().save_notes();
    saved.save(&mut session);
    log(&mut session, Scope::BODY, "lost");
    publish(&mut session, "progress", "2").unwrap();
    let mut journal = session.into_journal();
    journal.discard_changes();
    assert_eq!(journal.run().notes, saved.run.notes);
    assert_eq!(journal.run().published, saved.run.published);
    assert!(!journal.has_changes() && journal.take_changes().lines.is_empty());
}

#[test]
fn a_scope_that_does_not_exist_stands_for_the_body() {
    let (mut session, mut saved) = (fresh(), Saved::new());
    log(&mut session, Scope { step: 9, attempt: 4 }, "where am I?");
    executed(step(&mut session, "a", StepOptions::default()));
    saved.save(&mut session);
    assert_eq!(saved.text(), ["where am I?"]);
    assert_eq!(saved.run.notes.body, 1);
}

#[test]
fn a_journal_of_a_version_without_notes_keeps_no_line_of_its_replay() {
    let (mut session, mut saved) = (fresh(), Saved::new());
    send(&mut session, Scope::BODY, "http://x");
    saved.save(&mut session);
    let mut session = saved.load();
    log(&mut session, Scope::BODY, "the earlier version has logged this");
    send(&mut session, Scope::BODY, "http://x");
    answer(&mut session, 1);
    log(&mut session, Scope::BODY, "this is new");
    saved.save(&mut session);
    assert_eq!(saved.text(), ["this is new"]);
}

#[test]
fn lines_below_the_kept_level_are_not_kept_and_leave_no_trace() {
    for (least, kept) in [(Some(LogLevel::Trace), 1), (Some(LogLevel::Warn), 0), (None, 0)] {
        let limits = SessionLimits { kept_log_level: least, ..LIMITS };
        let (mut session, mut saved) = (Session::new(Journal::new(run()), limits), Saved::new());
        log(&mut session, Scope::BODY, "one");
        executed(step(&mut session, "a", StepOptions::default()));
        saved.save(&mut session);
        assert_eq!(saved.lines.len(), kept, "{least:?}");
        assert_eq!(saved.run.notes == Notes::default(), kept == 0);
    }
}

#[test]
fn what_a_guest_notes_after_its_run_is_final_is_not_kept() {
    let mut session = fresh();
    session.finish("1", at(2)).unwrap();
    let note = session.note(Scope::BODY).unwrap();
    session.log(note, LogLevel::Info, "in a destructor", at(3)).unwrap();
    session.publish(note, "progress", Document::default(), at(3)).unwrap().unwrap();
    let run = session.journal().run();
    assert_eq!((run.notes, run.published.as_deref()), (Notes::default(), None));
}
