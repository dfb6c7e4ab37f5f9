//! Applies a schema to a value, within a number of steps.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use super::Schema;
use super::path::Path;
use super::pattern::Pattern;
use super::rule::{Bound, NodeId, Properties, Rule, Type};

/// The steps of a check, whatever the size of the input. A step is a rule that is applied to a value.
const STEPS: u64 = 10_000;

/// The further steps for each byte of the input. An ordinary schema needs one or two for a byte, and one with twenty
/// alternatives for small values twenty times as many. An input of 1 MiB gets 67 million, less than a second.
const STEPS_PER_BYTE: u64 = 64;

/// The steps of a message, which is only made when something does not fit.
const STEPS_PER_MESSAGE: u64 = 64;

/// The maximum depth of schemas within schemas that one value leads to: four for each of the 127 levels of a document. It
/// bounds the stack.
const DEPTH: u32 = 512;

/// The bytes of a text that are read in one step.
const BYTES_PER_STEP: u64 = 16;

/// The most values of an `enum` that a message lists, and other things.
const LISTED: usize = 10;

/// The most bytes of a reason.
const SHOWN: usize = 1_000;

/// The reason why an input does not fit a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(in crate::registry) struct Misfit {
    /// The place in the input, such as `$.items[2].price`.
    pub(in crate::registry) path: String,
    /// What was expected there, and what was found.
    pub(in crate::registry) why: String,
    /// How near to a fit the input was. Of several alternatives, the nearest one is reported.
    nearness: Nearness,
}

/// In ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// The value that tells alternatives apart, such as the tag of an enum, is another one.
    Tag,
    /// Something fits up to this depth.
    Depth(usize),
    /// The check was given up: no alternative helps.
    GivenUp,
}

impl Misfit {
    /// The input is not JSON that the host can read.
    pub(super) fn unreadable(error: &serde_json::Error) -> Self {
        Self { path: "$".to_owned(), why: error.to_string(), nearness: Nearness::GivenUp }
    }

    fn is_given_up(&self) -> bool {
        self.nearness == Nearness::GivenUp
    }
}

/// A check of one value.
pub(super) struct Check<'s> {
    schema: &'s Schema,
    steps: u64,
    depth: u32,
    path: Path<'s>,
    /// Whether errors have no message, because another alternative may fit.
    is_quiet: bool,
}

impl<'s> Check<'s> {
    /// Begins the check of an input of this many bytes.
    pub(super) fn new(schema: &'s Schema, bytes: usize) -> Self {
        let steps = STEPS.saturating_add((bytes as u64).saturating_mul(STEPS_PER_BYTE));
        Self { schema, steps, depth: 0, path: Path::default(), is_quiet: false }
    }

    pub(super) fn check(mut self, value: &'s Value) -> Result<(), Misfit> {
        self.node(self.schema.root, value)
    }

    fn node(&mut self, node: NodeId, value: &'s Value) -> Result<(), Misfit> {
        self.spend(1)?;
        if self.depth == DEPTH {
            return Err(self.given_up("alternatives and references within one another"));
        }
        self.depth += 1;
        let rules = self.schema.nodes.get(node).map_or(&[][..], Vec::as_slice);
        let checked = rules.iter().try_for_each(|rule| {
            self.spend(1)?;
            self.rule(rule, value)
        });
        self.depth -= 1;
        checked
    }

    fn rule(&mut self, rule: &'s Rule, value: &'s Value) -> Result<(), Misfit> {
        match (rule, value) {
            (Rule::Never, _) => Err(self.misfit(|| "no value is allowed here".to_owned())),
            (Rule::Types(types), _) => self.types(types, value),
            (Rule::Values(values, bytes), _) => self.values(values, *bytes, value),
            (Rule::Refer(node), _) => self.node(*node, value),
            (Rule::All(nodes), _) => nodes.iter().try_for_each(|node| self.node(*node, value)),
            (Rule::Any(nodes), _) => self.any(nodes, value).map(drop),
            (Rule::One(nodes), _) => self.one(nodes, value),
            (Rule::Not(node), _) => match self.fits(*node, value)? {
                true => Err(self.misfit(|| "this value is excluded".to_owned())),
                false => Ok(()),
            },
            (Rule::If { condition, then, otherwise }, _) => {
                let branch = if self.fits(*condition, value)? { then } else { otherwise };
                branch.map_or(Ok(()), |node| self.node(node, value))
            }
            (_, Value::Number(number)) => self.number(rule, number),
            (_, Value::String(text)) => self.text(rule, text),
            (_, Value::Array(items)) => self.items(rule, items),
            (_, Value::Object(members)) => self.members(rule, members, value),
            _ => Ok(()),
        }
    }

    fn types(&mut self, types: &[Type], value: &Value) -> Result<(), Misfit> {
        if types.iter().any(|wanted| wanted.fits(value)) {
            return Ok(());
        }
        let wanted = || types.iter().map(|wanted| wanted.noun()).collect::<Vec<_>>().join(" or ");
        Err(self.misfit(|| format!("expected {}, found {}", wanted(), Type::of(value).noun())))
    }

    fn values(&mut self, values: &'s [Value], bytes: usize, value: &Value) -> Result<(), Misfit> {
        self.spend(1 + bytes as u64 / BYTES_PER_STEP)?;
        if values.iter().any(|allowed| is_equal(allowed, value)) {
            return Ok(());
        }
        let wanted = || {
            let mut listed: Vec<String> = values.iter().take(LISTED).map(Value::to_string).collect();
            if values.len() > LISTED {
                listed.push("…".to_owned());
            }
            format!("expected {}", listed.join(" or "))
        };
        Err(Misfit { nearness: Nearness::Tag, ..self.misfit(wanted) })
    }

    /// Returns which of some schemas fits first.
    fn any(&mut self, nodes: &[NodeId], value: &'s Value) -> Result<usize, Misfit> {
        let mut refused: Vec<(NodeId, Nearness)> = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            match self.quietly(*node, value) {
                Ok(()) => return Ok(at),
                Err(misfit) if misfit.is_given_up() => return Err(misfit),
                Err(misfit) => refused.push((*node, misfit.nearness)),
            }
        }
        let Some(nearest) = refused.iter().map(|(_, nearness)| *nearness).max() else {
            return Err(self.misfit(|| "no value is allowed here".to_owned()));
        };
        if self.is_quiet {
            return Err(Misfit { path: String::new(), why: String::new(), nearness: nearest });
        }
        let refused = refused.into_iter().filter(|(_, nearness)| *nearness == nearest);
        self.join(refused.map(|(node, _)| node).take(LISTED), value)
    }

    /// Returns the error of alternatives that do not fit. Reasons for the same place are joined, such as those of two types.
    fn join(&mut self, nodes: impl Iterator<Item = NodeId>, value: &'s Value) -> Result<usize, Misfit> {
        let mut joined: Option<Misfit> = None;
        for node in nodes {
            match (self.node(node, value), &mut joined) {
                (Ok(()), _) => {}
                (Err(misfit), _) if misfit.is_given_up() => return Err(misfit),
                (Err(misfit), None) => joined = Some(misfit),
                (Err(misfit), Some(first)) => {
                    if misfit.path == first.path && !first.why.contains(&misfit.why) {
                        first.why = shown(format!("{}, or {}", first.why, misfit.why));
                    }
                }
            }
        }
        Err(joined.unwrap_or_else(|| self.misfit(|| "no value is allowed here".to_owned())))
    }

    fn one(&mut self, nodes: &[NodeId], value: &'s Value) -> Result<(), Misfit> {
        let first = self.any(nodes, value)?;
        for node in nodes.iter().skip(first + 1) {
            if self.fits(*node, value)? {
                return Err(self.misfit(|| "the value fits more than one of the alternatives".to_owned()));
            }
        }
        Ok(())
    }

    /// Returns whether a value fits, unless the check is given up.
    fn fits(&mut self, node: NodeId, value: &'s Value) -> Result<bool, Misfit> {
        match self.quietly(node, value) {
            Ok(()) => Ok(true),
            Err(misfit) if misfit.is_given_up() => Err(misfit),
            Err(_) => Ok(false),
        }
    }

    /// Checks a node without making messages.
    fn quietly(&mut self, node: NodeId, value: &'s Value) -> Result<(), Misfit> {
        let before = std::mem::replace(&mut self.is_quiet, true);
        let checked = self.node(node, value);
        self.is_quiet = before;
        checked
    }

    fn number(&mut self, rule: &Rule, number: &Number) -> Result<(), Misfit> {
        match rule {
            Rule::Bound(bound, limit) => {
                let order = compare(number, limit);
                let (fits, wanted) = match bound {
                    Bound::Least => (order.is_ge(), "at least"),
                    Bound::MoreThan => (order.is_gt(), "more than"),
                    Bound::Most => (order.is_le(), "at most"),
                    Bound::LessThan => (order.is_lt(), "less than"),
                };
                self.unless(fits, || format!("expected {wanted} {limit}, found {number}"))
            }
            Rule::MultipleOf(unit) => {
                let quotient = number.as_f64().unwrap_or(f64::NAN) / unit;
                let fits = (quotient - quotient.round()).abs() <= f64::EPSILON * quotient.abs();
                self.unless(fits, || format!("expected a multiple of {unit}, found {number}"))
            }
            _ => Ok(()),
        }
    }

    fn text(&mut self, rule: &Rule, text: &str) -> Result<(), Misfit> {
        self.spend(text.len() as u64 / BYTES_PER_STEP)?;
        match rule {
            Rule::Length { least, most } => self.within(text.chars().count(), *least, *most, "characters"),
            Rule::Pattern(pattern) => {
                let fits = self.is_match(pattern, text)?;
                self.unless(fits, || format!("expected a text with the pattern {}", pattern.as_str()))
            }
            Rule::Format(format) => self.unless(format.fits(text), || format!("expected {}", format.noun())),
            _ => Ok(()),
        }
    }

    fn is_match(&mut self, pattern: &Pattern, text: &str) -> Result<bool, Misfit> {
        self.spend(pattern.cost(text))?;
        Ok(pattern.is_in(text))
    }

    fn items(&mut self, rule: &'s Rule, items: &'s [Value]) -> Result<(), Misfit> {
        match rule {
            Rule::Items { least, most } => self.within(items.len(), *least, *most, "items"),
            Rule::Unique => self.unique(items),
            Rule::Each { prefix, rest } => {
                for (at, item) in items.iter().enumerate() {
                    let Some(node) = prefix.get(at).copied().or(*rest) else { break };
                    self.path.index(at);
                    let checked = self.node(node, item);
                    self.path.up();
                    checked?;
                }
                Ok(())
            }
            Rule::Contains { item, least, most } => {
                let mut found = 0;
                for value in items {
                    found += usize::from(self.fits(*item, value)?);
                }
                self.within(found, *least, *most, "items of the kind that it must contain")
            }
            _ => Ok(()),
        }
    }

    fn members(
        &mut self,
        rule: &'s Rule,
        members: &'s Map<String, Value>,
        value: &'s Value,
    ) -> Result<(), Misfit> {
        match rule {
            Rule::Members { least, most } => self.within(members.len(), *least, *most, "members"),
            Rule::Properties(properties) => {
                members.iter().try_for_each(|(name, value)| self.member(properties, name, value))
            }
            Rule::Names(node) => members.keys().try_for_each(|name| self.name(*node, name)),
            Rule::Required(names) => self.required(names, members),
            Rule::RequiredWith(name, names) if members.contains_key(name) => self.required(names, members),
            Rule::With(name, node) if members.contains_key(name) => self.node(*node, value),
            _ => Ok(()),
        }
    }

    /// Checks the name of a member against a schema.
    fn name(&mut self, node: NodeId, name: &'s str) -> Result<(), Misfit> {
        self.spend(name.len() as u64 / BYTES_PER_STEP)?;
        let text = Value::from(name);
        let Self { schema, steps, depth, is_quiet, .. } = *self;
        let mut check = Check { schema, steps, depth, path: Path::default(), is_quiet };
        let checked = check.node(node, &text);
        self.steps = check.steps;
        checked.map_err(|misfit| match misfit.is_given_up() {
            true => misfit,
            false => self.below(name, || format!("the name is not allowed: {}", misfit.why)),
        })
    }

    fn member(&mut self, properties: &'s Properties, name: &'s str, value: &'s Value) -> Result<(), Misfit> {
        let named = properties.named.get(name).copied();
        let mut nodes: Vec<NodeId> = named.into_iter().collect();
        for (pattern, node) in &properties.patterns {
            if self.is_match(pattern, name)? {
                nodes.push(*node);
            }
        }
        if nodes.is_empty() {
            let Some(others) = properties.others else { return Ok(()) };
            if self.schema.is_never(others) {
                let known = || properties.named.keys().take(LISTED).map(String::as_str).collect::<Vec<_>>();
                let why = || format!("there is no such member; there are: {}", known().join(", "));
                return Err(self.below(name, why));
            }
            nodes.push(others);
        }
        self.path.key(name);
        let checked = nodes.into_iter().try_for_each(|node| self.node(node, value));
        self.path.up();
        checked
    }

    fn required(&mut self, names: &'s [String], members: &Map<String, Value>) -> Result<(), Misfit> {
        self.spend(names.len() as u64)?;
        match names.iter().find(|name| !members.contains_key(*name)) {
            Some(missing) => Err(self.below(missing, || "the member is required".to_owned())),
            None => Ok(()),
        }
    }

    fn unique(&mut self, items: &[Value]) -> Result<(), Misfit> {
        let mut seen = HashSet::new();
        for (at, item) in items.iter().enumerate() {
            // Texts of equal values are equal, because members are in the order of their names.
            let text = item.to_string();
            self.spend(1 + text.len() as u64 / BYTES_PER_STEP)?;
            if !seen.insert(text) {
                self.path.index(at);
                let misfit = self.misfit(|| "the item occurs twice".to_owned());
                self.path.up();
                return Err(misfit);
            }
        }
        Ok(())
    }

    fn within(&mut self, found: usize, least: u64, most: u64, what: &str) -> Result<(), Misfit> {
        let found = found as u64;
        self.unless(least <= found, || format!("expected at least {least} {what}, found {found}"))?;
        self.unless(found <= most, || format!("expected at most {most} {what}, found {found}"))
    }

    fn unless(&mut self, fits: bool, why: impl FnOnce() -> String) -> Result<(), Misfit> {
        if fits { Ok(()) } else { Err(self.misfit(why)) }
    }

    /// Returns the error of the value at the current place.
    fn misfit(&mut self, why: impl FnOnce() -> String) -> Misfit {
        let nearness = Nearness::Depth(self.path.len());
        if self.is_quiet {
            return Misfit { path: String::new(), why: String::new(), nearness };
        }
        self.steps = self.steps.saturating_sub(STEPS_PER_MESSAGE);
        Misfit { path: self.path.to_string(), why: shown(why()), nearness }
    }

    /// Returns the error of a member of the object at the current place.
    fn below(&mut self, name: &'s str, why: impl FnOnce() -> String) -> Misfit {
        self.path.key(name);
        let misfit = self.misfit(why);
        self.path.up();
        misfit
    }

    fn given_up(&self, what: &str) -> Misfit {
        let why = format!("the check against the schema was given up, because it needs too many {what}");
        Misfit { path: self.path.to_string(), why, nearness: Nearness::GivenUp }
    }

    fn spend(&mut self, steps: u64) -> Result<(), Misfit> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => Err(self.given_up("steps: simplify its alternatives, or send a smaller input")),
        }
    }
}

/// Returns a reason in a length for messages.
fn shown(mut why: String) -> String {
    why.truncate(why.floor_char_boundary(SHOWN));
    why
}

/// Compares two numbers, integers exactly.
fn compare(a: &Number, b: &Number) -> Ordering {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or(f64::NAN).total_cmp(&b.as_f64().unwrap_or(f64::NAN)),
    }
}

/// Returns whether two values are equal. `1` and `1.0` are.
fn is_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b).is_eq(),
        _ => a == b,
    }
}
