//! The lines that runs log, and the values that they publish.

use forge_journal::{
    Document, Event, Journal, LogLevel, LogLine, Notes, Run, RunId, Scope, Timestamp, WorkflowStatus,
};
use forge_store::{LogFilter, LogPage, Store, Write};

use super::{rows, run, save, step, stored};

const TENANT: &str = "logs";

pub(super) async fn conforms(store: &dyn Store) {
    keeps_lines_as_they_are(store).await;
    reads_lines_in_pages(store).await;
    selects_lines(store).await;
    selects_lines_of_all_passes_of_a_step(store).await;
    counts_lines_and_values_and_deletes_them_with_their_run(store).await;
}

fn of(number: u128) -> Run {
    Run { tenant: TENANT.into(), ..run(number) }
}

fn log(journal: &mut Journal, scope: Scope, level: LogLevel, message: &str) {
    let note = journal.run().notes.lines as u32 + 1;
    let event = Event::Logged { scope, note, level, message: message.into(), is_last: false };
    journal.apply(event, Timestamp(2_500)).unwrap();
}

fn published(scope: Scope, note: u32) -> Event {
    let value = Document::parse("{\"a\": 0.50}").unwrap();
    Event::Published { scope, note, name: "\"progress\" \0 ü".into(), value }
}

fn begun(number: u128) -> Journal {
    let mut journal = Journal::unsaved(of(number));
    journal.apply(Event::Running, Timestamp(2_000)).unwrap();
    journal.apply(step("charge", 0), Timestamp(2_000)).unwrap();
    journal
}

async fn page(store: &dyn Store, id: RunId, filter: &LogFilter) -> LogPage {
    store.logs(id, filter).await.unwrap().unwrap()
}

fn seqs(page: &LogPage) -> Vec<u64> {
    page.lines.iter().map(|line| line.seq).collect()
}

const STEP: Scope = Scope { step: 1, attempt: 1 };

async fn keeps_lines_as_they_are(store: &dyn Store) {
    let id = of(96_001).id;
    assert_eq!(store.logs(id, &LogFilter::default()).await.unwrap(), None, "there is no such run");
    let mut journal = begun(96_001);
    save(store, &mut journal).await;
    let none = page(store, id, &LogFilter::default()).await;
    assert_eq!((&*none.tenant, none.lines.len(), none.has_more), (TENANT, 0, false));

    let odd = "nul \0, substitute \u{1a}0, \u{1b}[2J, \u{202e}, 🦀\r\n\u{10ffff}";
    let expected: Vec<LogLine> = [(LogLevel::Trace, Scope::BODY), (LogLevel::Error, STEP)]
        .into_iter()
        .zip(1..)
        .map(|((level, scope), seq)| {
            log(&mut journal, scope, level, odd);
            let step = (scope == STEP).then(|| "charge".into());
            let (at, message) = (Timestamp(2_500), odd.into());
            LogLine { seq, at, level, scope, step, message, revision: 2 }
        })
        .collect();
    journal.apply(published(STEP, 9), Timestamp(2_500)).unwrap();
    journal.save_notes();
    let changes = journal.take_changes();
    assert_eq!(changes.lines, expected);
    let write = Write::Save(id, changes);
    store.commit(store.epoch(), std::slice::from_ref(&write)).await.unwrap();
    assert_eq!(page(store, id, &LogFilter::default()).await.lines, expected);
    assert_eq!(store.run(id).await.unwrap().as_ref(), Some(journal.run()));
    assert_eq!(rows(store, id).await, journal.rows());
    assert_eq!((journal.run().notes.lines, journal.row(1).unwrap().notes), (2, 9));

    // An answer that was lost lets a host commit a batch again.
    store.commit(store.epoch(), &[write]).await.unwrap();
    assert_eq!(page(store, id, &LogFilter::default()).await.lines, expected);
}

async fn reads_lines_in_pages(store: &dyn Store) {
    let mut journal = begun(96_002);
    let id = journal.run().id;
    for line in 1..=5 {
        log(&mut journal, Scope::BODY, LogLevel::Info, &"x".repeat(line * 10));
    }
    save(store, &mut journal).await;
    let filter = LogFilter { limit: 2, ..LogFilter::default() };
    let first = page(store, id, &filter).await;
    assert_eq!((seqs(&first), first.has_more), (vec![1, 2], true));
    let next = page(store, id, &LogFilter { after: 2, limit: 3, ..filter.clone() }).await;
    assert_eq!((seqs(&next), next.has_more), (vec![3, 4, 5], false));
    for after in [5, 1 << 40, u64::MAX] {
        let last = page(store, id, &LogFilter { after, ..filter.clone() }).await;
        assert_eq!((seqs(&last), last.has_more), (vec![], false));
    }
    let small = LogFilter { bytes: 60, ..LogFilter::default() };
    let bounded = page(store, id, &small).await;
    assert_eq!((seqs(&bounded), bounded.has_more), (vec![1, 2, 3], true));
    let tiny = page(store, id, &LogFilter { bytes: 1, after: 3, ..small }).await;
    assert_eq!((seqs(&tiny), tiny.has_more), (vec![4], true), "at least one");
}

async fn selects_lines(store: &dyn Store) {
    let mut journal = begun(96_003);
    let id = journal.run().id;
    let lines = [
        (Scope::BODY, LogLevel::Info),
        (STEP, LogLevel::Warn),
        (STEP, LogLevel::Debug),
        (Scope::BODY, LogLevel::Error),
    ];
    for (scope, level) in lines {
        log(&mut journal, scope, level, "a line");
        // Each has a revision of its own.
        journal.computed(2_000_000_000);
        save(store, &mut journal).await;
    }
    let all = LogFilter::default();
    let warned = LogFilter { level: LogLevel::Warn, ..all.clone() };
    assert_eq!(seqs(&page(store, id, &warned).await), [2, 4]);
    let of_step = |name: &str| LogFilter { step: Some(name.to_owned()), ..LogFilter::default() };
    assert_eq!(seqs(&page(store, id, &of_step("charge")).await), [2, 3]);
    assert_eq!(seqs(&page(store, id, &LogFilter { limit: 1, ..of_step("charge") }).await), [2]);
    assert!(seqs(&page(store, id, &of_step("' OR \0")).await).is_empty());
    let since = page(store, id, &all).await.lines[1].revision;
    assert_eq!(seqs(&page(store, id, &LogFilter { since, ..all.clone() }).await), [3, 4]);
    assert_eq!(seqs(&page(store, id, &LogFilter { since: u64::MAX, ..all }).await), [0; 0]);
}

async fn selects_lines_of_all_passes_of_a_step(store: &dyn Store) {
    let mut journal = begun(96_007);
    let id = journal.run().id;
    for (place, name) in
        ["charge#2", "charge#10", "charge#2b", "charge_2", "charg\0", "charg\0#2"].into_iter().enumerate()
    {
        journal.apply(step(name, place as u32 + 1), Timestamp(2_000)).unwrap();
        let scope = Scope { step: place as u64 + 2, ..STEP };
        log(&mut journal, scope, LogLevel::Info, "a line");
        save(store, &mut journal).await;
    }
    log(&mut journal, STEP, LogLevel::Info, "of the first pass, later");
    journal.computed(2_000_000_000);
    save(store, &mut journal).await;
    let of_step = |name: &str| LogFilter { step: Some(name.to_owned()), ..LogFilter::default() };
    assert_eq!(seqs(&page(store, id, &of_step("charge")).await), [1, 2, 7]);
    assert_eq!(seqs(&page(store, id, &of_step("charge#2")).await), [1]);
    assert_eq!(seqs(&page(store, id, &of_step("charg")).await), [0; 0]);
    assert_eq!(seqs(&page(store, id, &of_step("charg\0")).await), [5, 6]);
    assert_eq!(seqs(&page(store, id, &of_step("charge_")).await), [0; 0]);
}

async fn counts_lines_and_values_and_deletes_them_with_their_run(store: &dyn Store) {
    let before = stored(store, TENANT).await;
    let ids = [96_004, 96_005, 96_006].map(|number| of(number).id);
    for number in [96_004, 96_005, 96_006] {
        let mut journal = begun(number);
        save(store, &mut journal).await;
        if number != 96_006 {
            log(&mut journal, STEP, LogLevel::Info, "nul \0 and ünïcode \u{1a}");
        }
        if number != 96_004 {
            journal.apply(published(Scope::BODY, 1), Timestamp(2_600)).unwrap();
        }
        journal.apply(Event::Finished { output: "1".into() }, Timestamp(3_000)).unwrap();
        save(store, &mut journal).await;
    }
    let mut sizes = 0;
    for id in ids {
        let run = store.run(id).await.unwrap().unwrap();
        assert_eq!(run.status, WorkflowStatus::Completed);
        let lines = page(store, id, &LogFilter::default()).await.lines;
        assert_eq!(lines.iter().map(LogLine::stored_bytes).sum::<u64>(), run.notes.bytes);
        sizes += run.stored_bytes() + run.notes.bytes;
        sizes += rows(store, id).await.iter().map(forge_journal::Row::stored_bytes).sum::<u64>();
    }
    assert_eq!(stored(store, TENANT).await - before, sizes);
    assert_eq!(store.delete(&ids).await.unwrap().len(), 3);
    assert_eq!(stored(store, TENANT).await, before);

    // A run with the id of a deleted one has no lines.
    let mut again = begun(96_004);
    save(store, &mut again).await;
    assert_eq!(page(store, ids[0], &LogFilter::default()).await.lines, []);
    assert_eq!(again.run().notes, Notes::default());
}
