//! Converts the rows of a journal to the nodes of a tree.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{Child, Children, Style, tone};
use crate::cli::printable::Printable;
use crate::cli::text::{between, duration};
use crate::executor::StepRecord;
use forge_journal::{Kind, StepStatus, WorkflowStatus};
use uuid::Uuid;

/// The maximum depth of calls that are shown. A guest can nest calls without limit.
const MAX_DEPTH: usize = 24;

/// A call in the tree, with the calls that it made.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) mark: &'static str,
    pub(super) tone: anstyle::Style,
    pub(super) label: String,
    /// The id after the label. Nodes are alike whatever it is.
    pub(super) id: Option<Uuid>,
    pub(super) label_tone: anstyle::Style,
    /// Whether the duration is in the column of durations. The labels of requests are too long for that.
    pub(super) in_column: bool,
    /// How long the call took or has been running.
    pub(super) duration: Option<String>,
    /// Short remarks, such as `2 attempts`.
    pub(super) facts: Vec<String>,
    pub(super) error: Option<String>,
    /// Whether the call or an attempt of it has failed.
    pub(super) failed: bool,
    pub(super) children: Vec<Node>,
}

impl Node {
    fn new(label: String, (mark, tone): (&'static str, anstyle::Style)) -> Self {
        let (duration, facts, error, children) = (None, Vec::new(), None, Vec::new());
        let (label_tone, in_column) = (tone::PLAIN, true);
        let (id, failed) = (None, false);
        Self { mark, tone, label, id, label_tone, in_column, duration, facts, error, failed, children }
    }

    /// Returns the label with the id.
    pub(super) fn title(&self) -> String {
        self.id.map_or_else(|| self.label.clone(), |id| format!("{} {id}", self.label))
    }
}

/// Returns the top level of the tree.
pub(super) fn nodes(steps: &[StepRecord], runs: &Children, style: &Style) -> Vec<Node> {
    let runs = RefCell::new(runs.iter().map(|(id, child)| (*id, child)).collect());
    let mut nodes = Calls::of(steps, &runs, style).below(0, 0);
    if style.only_failed {
        keep_failed(&mut nodes);
    }
    nodes
}

/// Keeps the nodes that have failed, and those with such a node below them.
fn keep_failed(nodes: &mut Vec<Node>) {
    nodes.retain_mut(|node| {
        keep_failed(&mut node.children);
        node.failed || !node.children.is_empty()
    });
}

/// The runs that are not shown yet, by id.
type Unshown<'a> = BTreeMap<Uuid, &'a Child>;

/// The calls of a run.
struct Calls<'a> {
    /// The calls by the position of their parent; 0 is the body of the workflow.
    children: BTreeMap<u64, Vec<&'a StepRecord>>,
    /// The order in which compensations started, by their position.
    compensations: BTreeMap<u64, usize>,
    /// The runs that calls have started and that are not shown yet. Each is shown once, whatever a server sends.
    runs: &'a RefCell<Unshown<'a>>,
    style: &'a Style,
}

impl<'a> Calls<'a> {
    fn of(steps: &'a [StepRecord], runs: &'a RefCell<Unshown<'a>>, style: &'a Style) -> Self {
        let is_quiet = |step: &StepRecord| matches!(step.kind.as_str(), "time" | "timeout");
        let mut calls = Self { children: BTreeMap::new(), compensations: BTreeMap::new(), runs, style };
        for step in steps.iter().filter(|step| style.every_call || !is_quiet(step)) {
            // A parent has a lower position than its children. A row that contradicts this is at the top level.
            let parent = step.parent.filter(|parent| *parent < step.seq).unwrap_or(0);
            calls.children.entry(parent).or_default().push(step);
            if step.kind == Kind::Compensation {
                calls.compensations.insert(step.seq, calls.compensations.len() + 1);
            }
        }
        calls
    }

    /// Returns the nodes of the calls below a parent.
    fn below(&self, parent: u64, depth: usize) -> Vec<Node> {
        let Some(children) = self.children.get(&parent) else { return Vec::new() };
        if depth >= MAX_DEPTH {
            return vec![Node::new("further calls, nested deeper".to_owned(), ("…", tone::FAINT))];
        }
        children.iter().map(|step| self.node(step, depth)).collect()
    }

    fn node(&self, step: &StepRecord, depth: usize) -> Node {
        let mut node = Node::new(self.label(step), mark(step.status));
        match step.kind {
            Kind::Step => node.label_tone = tone::STRONG,
            Kind::Effect(kind) if kind.as_str() == "http" => node.in_column = false,
            Kind::Compensation | Kind::Time | Kind::Effect(_) => {}
        }
        if http_status(step).is_some_and(|status| status >= 400) {
            // The request completed. The workflow decides whether the status is a failure.
            (node.mark, node.tone) = ("!", tone::WARN);
            node.failed = true;
        }
        node.failed |= step.status == StepStatus::Failed || step.error.is_some();
        node.duration = self.duration(step);
        node.facts = self.facts(step);
        node.error = step.error.as_deref().map(|error| {
            let kind = step.error_kind.as_deref().filter(|kind| *kind != "error");
            let kind = kind.map(|kind| format!("{}: ", Printable::line(kind))).unwrap_or_default();
            // The margin is before each line.
            let lines: Vec<String> = error.lines().map(|line| Printable::line(line).to_string()).collect();
            format!("{kind}{}", lines.join("\n"))
        });
        node.children = self.by_attempt(step, self.below(step.seq, depth + 1), depth);
        node.children.extend(step.child_run.map(|run| self.run(run, step, depth + 2)));
        node
    }

    /// Returns the node of the run that a call has started, with the calls of that run.
    fn run(&self, id: Uuid, call: &StepRecord, depth: usize) -> Node {
        let child = self.runs.borrow_mut().remove(&id);
        let (found, steps) = match child {
            Some(Child { record, steps }) => (Some(record.as_ref()), steps.as_slice()),
            None => (None, &[][..]),
        };
        let (mark, state) = match found {
            Some(Some(record)) => (super::mark(record.status), Some(record.status.to_string())),
            Some(None) => (("–", tone::FAINT), Some("deleted".to_owned())),
            // Its call tells how it ended.
            None => (mark(call.status), None),
        };
        let has_failed = |status| matches!(status, WorkflowStatus::Failed | WorkflowStatus::Compensated);
        let failed = found.flatten().is_some_and(|record| has_failed(record.status));
        let children = Calls::of(steps, self.runs, self.style).below(0, depth);
        let facts = state.into_iter().collect();
        let node = Node::new("run".to_owned(), mark);
        Node { id: Some(id), in_column: false, facts, failed, children, ..node }
    }

    /// Groups the calls of a step with several attempts by attempt.
    fn by_attempt(&self, step: &StepRecord, nodes: Vec<Node>, depth: usize) -> Vec<Node> {
        let calls = self.children.get(&step.seq).filter(|calls| calls.len() == nodes.len());
        let (Some(calls), true) = (calls, step.attempt > 1 && depth + 1 < MAX_DEPTH) else { return nodes };
        let mut grouped: Vec<Node> = Vec::new();
        let mut last = None;
        for (call, node) in calls.iter().zip(nodes) {
            let attempt = call.parent_attempt.filter(|_| call.kind != Kind::Compensation);
            match (attempt, grouped.last_mut()) {
                (Some(_), Some(group)) if attempt == last => group.children.push(node),
                (Some(number), _) => {
                    let status = if number < step.attempt { StepStatus::Failed } else { step.status };
                    let mut group = Node::new(format!("attempt {number}"), mark(status));
                    group.children.push(node);
                    grouped.push(group);
                }
                (None, _) => grouped.push(node),
            }
            last = attempt;
        }
        grouped
    }

    fn label(&self, step: &StepRecord) -> String {
        let name = Printable::line(&step.step_name).to_string();
        match step.kind {
            Kind::Compensation => match self.compensations.get(&step.seq) {
                Some(place) if self.compensations.len() > 1 => format!("compensation ({})", ordinal(*place)),
                _ => "compensation".to_owned(),
            },
            Kind::Step | Kind::Time => name,
            Kind::Effect(kind) => match (kind.as_str(), http_status(step)) {
                ("http", Some(status)) => format!("{name} → {status}"),
                ("http", None) => name,
                (kind, _) => format!("{} {name}", Printable::line(kind)),
            },
        }
    }

    fn duration(&self, step: &StepRecord) -> Option<String> {
        match step.status {
            StepStatus::Running => Some(duration(between(step.started_at, self.style.now))),
            _ => step.duration_ms.map(duration),
        }
    }

    fn facts(&self, step: &StepRecord) -> Vec<String> {
        let mut facts = Vec::new();
        match step.status {
            StepStatus::Pending => facts.push("pending".to_owned()),
            StepStatus::Running => facts.push("running".to_owned()),
            StepStatus::Compensated => facts.push("rolled back".to_owned()),
            StepStatus::Skipped => facts.push("dropped".to_owned()),
            StepStatus::Failed if step.optional => facts.push("optional".to_owned()),
            StepStatus::Failed | StepStatus::Completed => {}
        }
        if step.attempt > 1 {
            facts.push(format!("{} attempts", step.attempt));
        }
        let is_open = matches!(step.status, StepStatus::Pending | StepStatus::Running);
        if let Some(wake_at) = step.wake_at.filter(|wake_at| is_open && *wake_at > self.style.now) {
            let left = duration(between(self.style.now, wake_at));
            facts.push(if step.kind.has_scope() {
                format!("next in {left}")
            } else {
                format!("{left} left")
            });
        }
        facts
    }
}

fn mark(status: StepStatus) -> (&'static str, anstyle::Style) {
    match status {
        StepStatus::Pending => ("·", tone::FAINT),
        StepStatus::Running => ("●", tone::ACTIVE),
        StepStatus::Completed => ("✔", tone::GOOD),
        StepStatus::Failed => ("✘", tone::BAD),
        StepStatus::Compensated => ("↩", tone::WARN),
        StepStatus::Skipped => ("–", tone::FAINT),
    }
}

fn http_status(step: &StepRecord) -> Option<u64> {
    step.result.as_ref()?.value().get("status")?.as_u64()
}

fn ordinal(number: usize) -> String {
    let suffix = match (number % 10, number % 100) {
        (1, last) if last != 11 => "st",
        (2, last) if last != 12 => "nd",
        (3, last) if last != 13 => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}
