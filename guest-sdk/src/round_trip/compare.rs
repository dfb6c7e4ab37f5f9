//! Comparing what serde was told of two values.

use super::Lost;
use super::path::{Part, Path};

/// A value as [`exact`](super::exact) writes it.
#[derive(Debug, PartialEq)]
enum Node<'t> {
    /// A scalar, with its tag.
    Scalar(&'t str),
    Some(Box<Node<'t>>),
    Sequence(Vec<Node<'t>>),
    /// The keys are texts as they are written.
    Map(Vec<(&'t str, Node<'t>)>),
}

/// Checks that two texts describe the same value. Maps are the same in any order, and so are sequences of the
/// same elements: a `HashSet` is read in another order than it was written.
pub(super) fn check(before: &str, after: &str) -> Result<(), Lost> {
    if before == after {
        return Ok(());
    }
    // Both texts are complete, because `exact` wrote them.
    let (mut before, mut after) = (Reader(before).node(), Reader(after).node());
    before.sort_maps();
    after.sort_maps();
    let mut path = Path::default();
    match difference(&before, &after, &mut path) {
        None => Ok(()),
        Some(what) => Err(Lost::Changed { path: path.show(), what }),
    }
}

/// Returns the first difference. `path` is then its path.
fn difference(before: &Node<'_>, after: &Node<'_>, path: &mut Path) -> Option<String> {
    match (before, after) {
        (Node::Some(before), Node::Some(after)) => difference(before, after, path),
        (Node::Sequence(before), Node::Sequence(after)) if before.len() == after.len() => {
            let different = before.iter().zip(after).position(|(before, after)| before != after)?;
            if is_permutation(before, after) {
                return None;
            }
            path.0.push(Part::Index(different));
            difference(&before[different], &after[different], path)
        }
        (Node::Map(before), Node::Map(after)) => {
            let find = |map: &[(&str, Node<'_>)], key: &str| map.iter().position(|(known, _)| *known == key);
            for (key, value) in before {
                path.0.push(Part::Key(shown_key(key)));
                match find(after, key) {
                    None => return Some("it is missing".to_owned()),
                    Some(at) => {
                        if let Some(what) = difference(value, &after[at].1, path) {
                            return Some(what);
                        }
                    }
                }
                path.0.pop();
            }
            let (new, _) = after.iter().find(|(key, _)| find(before, key).is_none())?;
            path.0.push(Part::Key(shown_key(new)));
            Some("it appears".to_owned())
        }
        (before, after) if before == after => None,
        (before, after) => Some(format!("{} becomes {}", before.describe(), after.describe())),
    }
}

fn is_permutation(before: &[Node<'_>], after: &[Node<'_>]) -> bool {
    let sorted = |nodes: &[Node<'_>]| {
        let mut texts: Vec<String> = nodes.iter().map(|node| format!("{node:?}")).collect();
        texts.sort_unstable();
        texts
    };
    sorted(before) == sorted(after)
}

fn shown_key(key: &str) -> String {
    Node::Scalar(key).text().to_owned()
}

impl<'t> Node<'t> {
    fn sort_maps(&mut self) {
        match self {
            Node::Scalar(_) => {}
            Node::Some(inner) => inner.sort_maps(),
            Node::Sequence(nodes) => nodes.iter_mut().for_each(Node::sort_maps),
            Node::Map(entries) => {
                entries.iter_mut().for_each(|(_, node)| node.sort_maps());
                entries.sort_by_key(|(key, _)| *key);
            }
        }
    }

    /// Returns a scalar without its tag.
    fn text(&self) -> &'t str {
        match self {
            Node::Scalar(scalar) => match scalar.split_once(':') {
                Some((tag, text)) if tag.starts_with('s') => text,
                _ => scalar.get(1..).unwrap_or_default().trim_end_matches(';'),
            },
            _ => "",
        }
    }

    fn describe(&self) -> String {
        match self {
            Node::Scalar("n") => "None".to_owned(),
            Node::Scalar("u") => "null".to_owned(),
            Node::Scalar(scalar) if scalar.starts_with('s') => "a text".to_owned(),
            Node::Scalar(_) => self.text().to_owned(),
            Node::Some(inner) => format!("Some({})", inner.describe()),
            Node::Sequence(nodes) => format!("an array of {}", nodes.len()),
            Node::Map(_) => "an object".to_owned(),
        }
    }
}

/// Reads what [`exact`](super::exact) wrote.
struct Reader<'t>(&'t str);

impl<'t> Reader<'t> {
    fn node(&mut self) -> Node<'t> {
        match self.0.as_bytes().first() {
            Some(b'?') => {
                self.take(1);
                Node::Some(Box::new(self.node()))
            }
            Some(b'[') => {
                self.take(1);
                let mut nodes = Vec::new();
                while !self.ends(b']') {
                    nodes.push(self.node());
                }
                Node::Sequence(nodes)
            }
            Some(b'{') => {
                self.take(1);
                let mut entries = Vec::new();
                while !self.ends(b'}') {
                    let whole = self.0;
                    self.node();
                    let key = &whole[..whole.len() - self.0.len()];
                    entries.push((key, self.node()));
                }
                Node::Map(entries)
            }
            Some(b's') => {
                let (length, rest) = self.0[1..].split_once(':').unwrap_or_default();
                let head = self.0.len() - rest.len();
                Node::Scalar(self.take(head + length.parse::<usize>().unwrap_or_default()))
            }
            Some(b'i' | b'f' | b'b') => {
                let end = self.0.find(';').map_or(self.0.len(), |end| end + 1);
                Node::Scalar(self.take(end))
            }
            Some(_) => Node::Scalar(self.take(1)),
            None => Node::Scalar(""),
        }
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Takes the end of a sequence or map, if it is next.
    fn ends(&mut self, end: u8) -> bool {
        let ends = self.0.as_bytes().first().is_none_or(|byte| *byte == end);
        if ends {
            self.take(1);
        }
        ends
    }
}
