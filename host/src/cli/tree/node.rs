//! From the rows of a journal to the nodes of a tree.

use std::collections::BTreeMap;

use super::style::{Style, Tone};
use crate::cli::text::{between, duration, printable};
use crate::executor::StepRecord;
use forge_journal::{Kind, StepStatus};

/// Calls nested deeper than this are counted, not shown: a guest may nest without end.
const MAX_DEPTH: usize = 24;

/// A line of the tree, and what is below it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) mark: &'static str,
    pub(super) tone: Tone,
    pub(super) label: String,
    pub(super) label_tone: Tone,
    /// Whether its duration stands in the column of durations. The names of requests are too long.
    pub(super) in_column: bool,
    /// How long it took.
    pub(super) duration: Option<String>,
    /// What else there is to say, in a few words each.
    pub(super) facts: Vec<String>,
    /// What went wrong.
    pub(super) error: Option<String>,
    pub(super) children: Vec<Node>,
}

impl Node {
    fn new(label: String, (mark, tone): (&'static str, Tone)) -> Self {
        let (duration, facts, error, children) = (None, Vec::new(), None, Vec::new());
        let (label_tone, in_column) = (Tone::Plain, true);
        Self { mark, tone, label, label_tone, in_column, duration, facts, error, children }
    }
}

/// The top of the tree.
pub(super) fn nodes(steps: &[StepRecord], style: &Style) -> Vec<Node> {
    let is_quiet = |step: &StepRecord| matches!(step.kind.as_str(), "time" | "timeout");
    let shown: Vec<&StepRecord> = steps.iter().filter(|step| style.every_call || !is_quiet(step)).collect();
    let mut forest = Forest { children: BTreeMap::new(), compensations: BTreeMap::new(), style };
    for step in &shown {
        // A parent comes before its children. Whatever claims otherwise stands on its own.
        let parent = step.parent.filter(|parent| *parent < step.seq).unwrap_or(0);
        forest.children.entry(parent).or_default().push(step);
        if step.kind == Kind::Compensation {
            forest.compensations.insert(step.seq, forest.compensations.len() + 1);
        }
    }
    forest.below(0, 0)
}

struct Forest<'a> {
    /// By their parent's position; 0 for the workflow's body.
    children: BTreeMap<u64, Vec<&'a StepRecord>>,
    /// In which order compensations began.
    compensations: BTreeMap<u64, usize>,
    style: &'a Style,
}

impl Forest<'_> {
    fn below(&self, parent: u64, depth: usize) -> Vec<Node> {
        let Some(children) = self.children.get(&parent) else { return Vec::new() };
        if depth >= MAX_DEPTH {
            return vec![Node::new("further calls, nested deeper".to_owned(), ("…", Tone::Faint))];
        }
        children.iter().map(|step| self.node(step, depth)).collect()
    }

    fn node(&self, step: &StepRecord, depth: usize) -> Node {
        let mut node = Node::new(self.label(step), mark(step.status));
        match step.kind {
            Kind::Step => node.label_tone = Tone::Strong,
            Kind::Effect(kind) if kind.as_str() == "http" => node.in_column = false,
            Kind::Compensation | Kind::Time | Kind::Effect(_) => {}
        }
        if http_status(step).is_some_and(|status| status >= 400) {
            // It was answered, so it is done; whether that is a failure the workflow decides.
            (node.mark, node.tone) = ("!", Tone::Warn);
        }
        node.duration = self.duration(step);
        node.facts = self.facts(step);
        node.error = step.error.as_deref().map(|error| {
            let kind = step.error_kind.as_deref().filter(|kind| *kind != "error");
            let kind = kind.map(|kind| format!("{}: ", printable(kind))).unwrap_or_default();
            format!("{kind}{}", printable(error))
        });
        node.children = self.by_attempt(step, self.below(step.seq, depth + 1), depth);
        node
    }

    /// The calls of a step that was tried more than once, under the attempt that they belong to.
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
        let name = printable(&step.step_name).replace('\n', " ");
        match step.kind {
            Kind::Compensation => match self.compensations.get(&step.seq) {
                Some(place) if self.compensations.len() > 1 => format!("compensation ({})", ordinal(*place)),
                _ => "compensation".to_owned(),
            },
            Kind::Step | Kind::Time => name,
            Kind::Effect(kind) => match (kind.as_str(), http_status(step)) {
                ("http", Some(status)) => format!("{name} → {status}"),
                ("http", None) => name,
                (kind, _) => format!("{kind} {name}"),
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

fn mark(status: StepStatus) -> (&'static str, Tone) {
    match status {
        StepStatus::Pending => ("·", Tone::Faint),
        StepStatus::Running => ("●", Tone::Active),
        StepStatus::Completed => ("✔", Tone::Good),
        StepStatus::Failed => ("✘", Tone::Bad),
        StepStatus::Compensated => ("↩", Tone::Warn),
        StepStatus::Skipped => ("–", Tone::Faint),
    }
}

fn http_status(step: &StepRecord) -> Option<u64> {
    step.result.as_ref()?.get("status")?.as_u64()
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
