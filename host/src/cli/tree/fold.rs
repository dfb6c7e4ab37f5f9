//! Folds calls that are alike to one line: a loop of 200 steps is one line with their number.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::node::Node;
use super::tone;

/// The fewest repetitions that are folded. Fewer are read faster than they are counted.
const FEWEST: usize = 5;

/// The most calls of a loop's body.
const LONGEST: usize = 4;

/// Returns the nodes with each series of alike calls as one node.
pub(super) fn fold(nodes: Vec<Node>) -> Vec<Node> {
    folded(nodes).into_iter().map(|(node, _)| node).collect()
}

/// Returns the nodes, and what each has in common with those that are alike.
fn folded(nodes: Vec<Node>) -> Vec<(Node, u64)> {
    let mut rest: Vec<Option<(Node, u64)>> =
        nodes.into_iter().map(|node| Some(with_likeness(node))).collect();
    let likeness: Vec<u64> = rest.iter().flatten().map(|(_, likeness)| *likeness).collect();
    let mut lines = Vec::new();
    let mut at = 0;
    while at < rest.len() {
        match series(&likeness[at..]) {
            Some((length, times)) => {
                let mut nodes = rest[at..at + length * times].iter_mut().filter_map(Option::take);
                let first: Vec<Node> = nodes.by_ref().take(length).map(|(node, _)| node).collect();
                let last: Vec<Node> = nodes.skip(length * (times - 2)).map(|(node, _)| node).collect();
                lines.extend(line(first, &last, times).map(with_likeness));
                at += length * times;
            }
            None => {
                lines.extend(rest[at].take());
                at += 1;
            }
        }
    }
    lines
}

/// Returns the length of the pattern with which the nodes begin, and how often it is repeated.
fn series(likeness: &[u64]) -> Option<(usize, usize)> {
    let times = |length: usize| {
        let pattern = likeness.get(..length)?;
        let times = likeness.chunks_exact(length).take_while(|chunk| *chunk == pattern).count();
        (times >= FEWEST).then_some((length, times))
    };
    (1..=LONGEST).find_map(times)
}

/// Returns the node of a series.
fn line(first: Vec<Node>, last: &[Node], times: usize) -> Option<Node> {
    let labels = |nodes: &[Node]| nodes.iter().map(|node| &*node.label).collect::<Vec<_>>().join(", ");
    let (from, to) = (labels(&first), labels(last));
    let calls = first.len();
    let mut node = first.into_iter().next()?;
    node.label = if from == to { from } else { format!("{from} … {to}") };
    node.in_column = false;
    node.label_tone = tone::PLAIN;
    node.duration = None;
    node.facts.insert(0, if calls == 1 { format!("{times} alike") } else { format!("{times} times") });
    node.children = Vec::new();
    Some(node)
}

/// Returns a node with folded children, and what it has in common with those that are alike: all but numbers in its name and
/// the time that it took.
fn with_likeness(mut node: Node) -> (Node, u64) {
    let children = folded(std::mem::take(&mut node.children));
    let mut hasher = DefaultHasher::new();
    without_numbers(&node.label).hash(&mut hasher);
    (node.mark, &node.facts, &node.error).hash(&mut hasher);
    for (_, likeness) in &children {
        likeness.hash(&mut hasher);
    }
    node.children = children.into_iter().map(|(child, _)| child).collect();
    (node, hasher.finish())
}

fn without_numbers(label: &str) -> String {
    let mut text = String::with_capacity(label.len());
    for character in label.chars() {
        match character.is_ascii_digit() {
            true if text.ends_with('#') => {}
            true => text.push('#'),
            false => text.push(character),
        }
    }
    text
}
