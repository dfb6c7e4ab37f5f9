//! Applies a schema to a value, within a number of steps.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::Display;

use serde_json::{Map, Number, Value};

use super::message::{LISTED, cut, listed};
use super::path::Path;
use super::pattern::Pattern;
use super::rule::{Bound, NodeId, Properties, Rule, Type};
use super::{Schema, cost};

/// The maximum depth of schemas within schemas that one value leads to: four for each of the 127 levels of a document. It
/// bounds the stack.
const DEPTH: u32 = 512;

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

    /// Returns whether the check did not come to an end, so that nobody knows whether the input fits.
    pub(in crate::registry) fn is_given_up(&self) -> bool {
        self.nearness == Nearness::GivenUp
    }
}

/// A check of one value.
pub(super) struct Check<'s> {
    schema: &'s Schema,
    /// The steps that the check may take.
    most: u64,
    /// The steps that are left.
    pub(super) steps: u64,
    depth: u32,
    path: Path<'s>,
    /// Whether errors have no message, because another alternative may fit.
    is_quiet: bool,
}

impl<'s> Check<'s> {
    /// Begins a check that may take this many steps.
    pub(super) fn new(schema: &'s Schema, steps: u64) -> Self {
        Self { schema, most: steps, steps, depth: 0, path: Path::default(), is_quiet: false }
    }

    pub(super) fn check(&mut self, value: &'s Value) -> Result<(), Misfit> {
        self.node(self.schema.root, value)
    }

    fn node(&mut self, node: NodeId, value: &'s Value) -> Result<(), Misfit> {
        self.spend(1)?;
        if self.depth == DEPTH {
            let why = "has too many alternatives and references within one another: let fewer of them lead to the next one";
            return Err(self.given_up(why));
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
            (Rule::Values(values, steps), _) => self.values(values, *steps, value),
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

    fn values(&mut self, values: &'s [Value], steps: u64, value: &Value) -> Result<(), Misfit> {
        self.spend(steps)?;
        if values.iter().any(|allowed| is_equal(allowed, value)) {
            return Ok(());
        }
        let wanted = || format!("expected {}", listed(values.iter(), " or "));
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
                        first.why = cut(format_args!("{}, or {}", first.why, misfit.why));
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
        match rule {
            Rule::Length { least, most } => {
                self.spend(cost::text(text))?;
                self.within(text.chars().count(), *least, *most, "characters")
            }
            Rule::Pattern(pattern) => {
                let fits = self.is_match(pattern, text)?;
                self.unless(fits, || {
                    cut(format_args!("expected a text with the pattern {}", pattern.as_str()))
                })
            }
            Rule::Format(format) => {
                self.spend(cost::format(text))?;
                self.unless(format.fits(text), || format!("expected {}", format.noun()))
            }
            _ => Ok(()),
        }
    }

    fn is_match(&mut self, pattern: &Pattern, text: &str) -> Result<bool, Misfit> {
        self.spend(cost::pattern(pattern.size, text))?;
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
            Rule::RequiredWith(name, names) => match self.has(members, name)? {
                true => self.required(names, members),
                false => Ok(()),
            },
            Rule::With(name, node) => match self.has(members, name)? {
                true => self.node(*node, value),
                false => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Checks the name of a member against a schema.
    fn name(&mut self, node: NodeId, name: &'s str) -> Result<(), Misfit> {
        self.spend(cost::NAME + cost::text(name))?;
        let text = Value::from(name);
        let Self { schema, most, steps, depth, is_quiet, .. } = *self;
        let mut check = Check { schema, most, steps, depth, path: Path::default(), is_quiet };
        let checked = check.node(node, &text);
        self.steps = check.steps;
        checked.map_err(|misfit| match misfit.is_given_up() {
            true => misfit,
            false => self.below(name, || format!("the name is not allowed: {}", misfit.why)),
        })
    }

    fn member(&mut self, properties: &'s Properties, name: &'s str, value: &'s Value) -> Result<(), Misfit> {
        self.spend(1 + cost::lookup(properties.named.len(), name))?;
        self.path.key(name);
        let checked = self.at_member(properties, name, value);
        self.path.up();
        checked
    }

    /// Checks the member at the current place.
    fn at_member(
        &mut self,
        properties: &'s Properties,
        name: &'s str,
        value: &'s Value,
    ) -> Result<(), Misfit> {
        let named = properties.named.get(name);
        let mut is_known = named.is_some();
        if let Some(node) = named {
            self.node(*node, value)?;
        }
        for (pattern, node) in &properties.patterns {
            if self.is_match(pattern, name)? {
                is_known = true;
                self.node(*node, value)?;
            }
        }
        match properties.others {
            Some(others) if !is_known && self.schema.is_never(others) => Err(self.misfit(|| {
                format!("there is no such member; there are: {}", listed(properties.named.keys(), ", "))
            })),
            Some(others) if !is_known => self.node(others, value),
            _ => Ok(()),
        }
    }

    /// Returns whether there is a member of this name.
    fn has(&mut self, members: &Map<String, Value>, name: &str) -> Result<bool, Misfit> {
        self.spend(cost::lookup(members.len(), name))?;
        Ok(members.contains_key(name))
    }

    fn required(&mut self, names: &'s [String], members: &Map<String, Value>) -> Result<(), Misfit> {
        for name in names {
            if !self.has(members, name)? {
                return Err(self.below(name, || "the member is required".to_owned()));
            }
        }
        Ok(())
    }

    fn unique(&mut self, items: &[Value]) -> Result<(), Misfit> {
        let mut seen = HashSet::new();
        for (at, item) in items.iter().enumerate() {
            // Texts of equal values are equal, because members are in the order of their names.
            let text = item.to_string();
            self.spend(cost::item(&text))?;
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
        self.steps = self.steps.saturating_sub(cost::MESSAGE);
        Misfit { path: self.path.to_string(), why: cut(why()), nearness }
    }

    /// Returns the error of a member of the object at the current place.
    fn below(&mut self, name: &'s str, why: impl FnOnce() -> String) -> Misfit {
        self.path.key(name);
        let misfit = self.misfit(why);
        self.path.up();
        misfit
    }

    fn given_up(&self, why: impl Display) -> Misfit {
        let why = format!("the check was given up, because the schema {why}");
        Misfit { path: self.path.to_string(), why, nearness: Nearness::GivenUp }
    }

    fn spend(&mut self, steps: u64) -> Result<(), Misfit> {
        let Some(left) = self.steps.checked_sub(steps) else {
            return Err(self.given_up(format_args!(
                "needs more than {} steps for an input of this size: send a smaller input, or deploy a version whose schema has \
                 fewer alternatives for each value, or simpler patterns, such as `[0-9]` for `\\d`",
                self.most
            )));
        };
        self.steps = left;
        Ok(())
    }
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
