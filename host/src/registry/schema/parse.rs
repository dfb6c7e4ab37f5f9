//! Reads a schema from JSON.

use std::collections::{HashMap, VecDeque};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::pattern::Pattern;
use super::rule::{Bound, Node, NodeId, Properties, Rule, Type};
use super::text::Format;
use super::{InvalidSchema, SCHEMA_BYTES, Schema, cost};

/// The most bytes that the patterns of a schema may have when they are compiled.
const PATTERN_BYTES: usize = 8 << 20;

/// The most bytes of a place that a message has.
const PLACE: usize = 500;

/// The bytes of memory that a byte of a schema takes, roughly: `{},` becomes a list of its own.
const MEMORY_FACTOR: usize = 16;

/// Reads a schema.
pub(super) fn parse(text: &str) -> Result<Schema, InvalidSchema> {
    if text.len() > SCHEMA_BYTES {
        return Err(InvalidSchema(format!(
            "it has {} bytes; the most is {SCHEMA_BYTES}: shorten its descriptions, or give a part of the input a type without a \
             schema, such as `serde_json::Value`",
            text.len()
        )));
    }
    let document: Value =
        serde_json::from_str(text).map_err(|error| InvalidSchema(format!("it is not JSON: {error}")))?;
    let mut reader = Reader {
        document: &document,
        nodes: Vec::new(),
        known: HashMap::new(),
        unread: VecDeque::new(),
        patterns: 0,
    };
    let root = reader.node(&document, "#");
    while let Some((node, schema, at)) = reader.unread.pop_front() {
        let rules = reader.rules(schema, &at)?;
        if let Some(place) = reader.nodes.get_mut(node) {
            *place = rules;
        }
    }
    let Reader { nodes, patterns, .. } = reader;
    refuse_loops(&nodes)?;
    Ok(Schema { nodes, root, size: text.len() * MEMORY_FACTOR + patterns })
}

struct Reader<'d> {
    document: &'d Value,
    nodes: Vec<Node>,
    /// The node of each part of the document that is a schema, by its address: however many references lead to a part, it
    /// is read once. Never iterated.
    known: HashMap<*const Value, NodeId>,
    /// The nodes without their rules yet, with their places. A list, because a chain of references can be too long for
    /// recursion.
    unread: VecDeque<(NodeId, &'d Value, String)>,
    /// The bytes of all compiled patterns.
    patterns: usize,
}

impl<'d> Reader<'d> {
    /// Returns the node of a reference: `#` or `#/…`.
    fn refer(&mut self, reference: &str, at: &str) -> Result<NodeId, InvalidSchema> {
        let pointer = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let pointer = pointer.and_then(|pointer| percent_decode_str(pointer).decode_utf8().ok());
        let Some(pointer) = pointer else {
            let why = format!(
                "refers to {}: a reference is `#` or `#/…`, to a part of the same schema",
                quoted(reference)
            );
            return Err(invalid(at, &why));
        };
        let Some(target) = self.document.pointer(&pointer) else {
            return Err(invalid(at, &format!("refers to {}, which is not in the schema", quoted(reference))));
        };
        Ok(self.node(target, reference))
    }

    /// Returns the node of a schema in the document.
    fn node(&mut self, schema: &'d Value, at: &str) -> NodeId {
        let next = self.nodes.len();
        let node = *self.known.entry(std::ptr::from_ref(schema)).or_insert(next);
        if node == next {
            self.nodes.push(Node::new());
            self.unread.push_back((node, schema, at.to_owned()));
        }
        node
    }

    /// Reads a schema without the schemas in it.
    fn rules(&mut self, schema: &'d Value, at: &str) -> Result<Node, InvalidSchema> {
        match schema {
            Value::Bool(true) => Ok(Vec::new()),
            Value::Bool(false) => Ok(vec![Rule::Never]),
            Value::Object(keywords) => {
                let mut rules = Vec::new();
                self.plain(keywords, at, &mut rules)?;
                self.alternatives(keywords, at, &mut rules)?;
                self.arrays(keywords, at, &mut rules)?;
                self.objects(keywords, at, &mut rules)?;
                Ok(rules)
            }
            _ => Err(invalid(at, "is no schema: a schema is an object, `true` or `false`")),
        }
    }

    /// Reads keywords about values, numbers and strings.
    fn plain(&mut self, keywords: &'d Keywords, at: &str, rules: &mut Node) -> Result<(), InvalidSchema> {
        if let Some(types) = keywords.get("type") {
            let named = |name: &Value| name.as_str().and_then(Type::named);
            let types: Option<Vec<Type>> = match types {
                Value::Array(names) => names.iter().map(named).collect(),
                name => named(name).map(|one| vec![one]),
            };
            let why =
                "is no type: types are null, boolean, integer, number, string, array and object, each once";
            // A check compares all of them in one step.
            let types = types.filter(|types| types.len() <= Type::ALL);
            rules.push(Rule::Types(types.ok_or_else(|| invalid(&below(at, "type"), why))?));
        }
        if let Some(value) = keywords.get("const") {
            rules.push(Rule::Values(vec![value.clone()], cost::equal(std::slice::from_ref(value))));
        }
        if let Some(values) = list(keywords, at, "enum")? {
            rules.push(Rule::Values(values.clone(), cost::equal(values)));
        }
        let bounds = [
            ("minimum", Bound::Least),
            ("exclusiveMinimum", Bound::MoreThan),
            ("maximum", Bound::Most),
            ("exclusiveMaximum", Bound::LessThan),
        ];
        for (keyword, bound) in bounds {
            match keywords.get(keyword) {
                None => {}
                Some(Value::Number(number)) => rules.push(Rule::Bound(bound, number.clone())),
                Some(_) => return Err(invalid(&below(at, keyword), "is no number")),
            }
        }
        if let Some(unit) = keywords.get("multipleOf") {
            let unit = unit.as_f64().filter(|unit| *unit > 0.0);
            rules.push(Rule::MultipleOf(
                unit.ok_or_else(|| invalid(&below(at, "multipleOf"), "is no number above 0"))?,
            ));
        }
        if let Some((least, most)) = range(keywords, at, "minLength", "maxLength")? {
            rules.push(Rule::Length { least, most });
        }
        if let Some(pattern) = text(keywords, at, "pattern")? {
            rules.push(Rule::Pattern(self.pattern(pattern, &below(at, "pattern"))?));
        }
        if let Some(format) = text(keywords, at, "format")?.and_then(Format::named) {
            rules.push(Rule::Format(format));
        }
        Ok(())
    }

    /// Reads keywords that apply schemas to the value itself.
    fn alternatives(
        &mut self,
        keywords: &'d Keywords,
        at: &str,
        rules: &mut Node,
    ) -> Result<(), InvalidSchema> {
        if let Some(reference) = text(keywords, at, "$ref")? {
            rules.push(Rule::Refer(self.refer(reference, &below(at, "$ref"))?));
        }
        for keyword in ["$dynamicRef", "$recursiveRef"] {
            if keywords.contains_key(keyword) {
                return Err(invalid(&below(at, keyword), "is not supported: use `$ref`"));
            }
        }
        if let Some(nodes) = self.list(keywords, at, "allOf")? {
            rules.push(Rule::All(nodes));
        }
        if let Some(nodes) = self.list(keywords, at, "anyOf")? {
            rules.push(Rule::Any(nodes));
        }
        if let Some(nodes) = self.list(keywords, at, "oneOf")? {
            rules.push(Rule::One(nodes));
        }
        if let Some(node) = self.one(keywords, at, "not") {
            rules.push(Rule::Not(node));
        }
        if let Some(condition) = self.one(keywords, at, "if") {
            let (then, otherwise) = (self.one(keywords, at, "then"), self.one(keywords, at, "else"));
            rules.push(Rule::If { condition, then, otherwise });
        }
        Ok(())
    }

    fn arrays(&mut self, keywords: &'d Keywords, at: &str, rules: &mut Node) -> Result<(), InvalidSchema> {
        if let Some((least, most)) = range(keywords, at, "minItems", "maxItems")? {
            rules.push(Rule::Items { least, most });
        }
        if keywords.get("uniqueItems") == Some(&Value::Bool(true)) {
            rules.push(Rule::Unique);
        }
        let prefix = self.list(keywords, at, "prefixItems")?;
        let rest = self.one(keywords, at, "items");
        if prefix.is_some() || rest.is_some() {
            rules.push(Rule::Each { prefix: prefix.unwrap_or_default(), rest });
        }
        if let Some(item) = self.one(keywords, at, "contains") {
            let least = number(keywords, at, "minContains")?.unwrap_or(1);
            let most = number(keywords, at, "maxContains")?.unwrap_or(u64::MAX);
            rules.push(Rule::Contains { item, least, most });
        }
        Ok(())
    }

    fn objects(&mut self, keywords: &'d Keywords, at: &str, rules: &mut Node) -> Result<(), InvalidSchema> {
        let named = self.map(keywords, at, "properties")?;
        let patterns = self.map(keywords, at, "patternProperties")?;
        let others = self.one(keywords, at, "additionalProperties");
        if named.is_some() || patterns.is_some() || others.is_some() {
            let place = below(at, "patternProperties");
            let patterns = patterns.unwrap_or_default().into_iter();
            let patterns = patterns.map(|(pattern, node)| Ok((self.pattern(pattern, &place)?, node)));
            let patterns = patterns.collect::<Result<_, InvalidSchema>>()?;
            let named = named.unwrap_or_default().into_iter().map(|(name, node)| (name.to_owned(), node));
            let properties = Properties { named: named.collect(), patterns, others };
            rules.push(Rule::Properties(Box::new(properties)));
        }
        if let Some((least, most)) = range(keywords, at, "minProperties", "maxProperties")? {
            rules.push(Rule::Members { least, most });
        }
        if let Some(names) = self.one(keywords, at, "propertyNames") {
            rules.push(Rule::Names(names));
        }
        // After the properties: a member that is there and wrong is reported before one that is not there.
        if let Some(required) = list(keywords, at, "required")? {
            rules.push(Rule::Required(names(required, &below(at, "required"))?));
        }
        if let Some(dependent) = object(keywords, at, "dependentRequired")? {
            let place = below(at, "dependentRequired");
            for (name, required) in dependent {
                let required =
                    required.as_array().ok_or_else(|| invalid(&below(&place, name), "is no list"))?;
                rules.push(Rule::RequiredWith(name.clone(), names(required, &below(&place, name))?));
            }
        }
        for (name, node) in self.map(keywords, at, "dependentSchemas")?.unwrap_or_default() {
            rules.push(Rule::With(name.to_owned(), node));
        }
        Ok(())
    }

    fn pattern(&mut self, text: &str, at: &str) -> Result<Pattern, InvalidSchema> {
        let pattern =
            Pattern::compile(text).map_err(|why| invalid(at, &format!("{} {why}", quoted(text))))?;
        self.patterns += pattern.memory();
        if self.patterns > PATTERN_BYTES {
            let why = format!(
                "is one pattern too many: together, patterns may take {PATTERN_BYTES} bytes when they are compiled"
            );
            return Err(invalid(at, &why));
        }
        Ok(pattern)
    }

    /// Reads a keyword whose value is a schema.
    fn one(&mut self, keywords: &'d Keywords, at: &str, keyword: &str) -> Option<NodeId> {
        keywords.get(keyword).map(|schema| self.node(schema, &below(at, keyword)))
    }

    /// Reads a keyword whose value is a list of schemas.
    fn list(
        &mut self,
        keywords: &'d Keywords,
        at: &str,
        keyword: &str,
    ) -> Result<Option<Vec<NodeId>>, InvalidSchema> {
        let Some(schemas) = list(keywords, at, keyword)? else { return Ok(None) };
        let place = below(at, keyword);
        let nodes = schemas.iter().enumerate();
        Ok(Some(nodes.map(|(index, schema)| self.node(schema, &below(&place, &index.to_string()))).collect()))
    }

    /// Reads a keyword whose value has schemas under names.
    fn map(
        &mut self,
        keywords: &'d Keywords,
        at: &str,
        keyword: &str,
    ) -> Result<Option<Vec<(&'d str, NodeId)>>, InvalidSchema> {
        let Some(schemas) = object(keywords, at, keyword)? else { return Ok(None) };
        let place = below(at, keyword);
        let nodes = schemas.iter();
        Ok(Some(
            nodes.map(|(name, schema)| (name.as_str(), self.node(schema, &below(&place, name)))).collect(),
        ))
    }
}

type Keywords = Map<String, Value>;

fn list<'d>(
    keywords: &'d Keywords,
    at: &str,
    keyword: &str,
) -> Result<Option<&'d Vec<Value>>, InvalidSchema> {
    let found = keywords.get(keyword);
    found.map(|value| value.as_array().ok_or_else(|| invalid(&below(at, keyword), "is no list"))).transpose()
}

fn object<'d>(
    keywords: &'d Keywords,
    at: &str,
    keyword: &str,
) -> Result<Option<&'d Keywords>, InvalidSchema> {
    let found = keywords.get(keyword);
    found
        .map(|value| value.as_object().ok_or_else(|| invalid(&below(at, keyword), "is no object")))
        .transpose()
}

fn text<'d>(keywords: &'d Keywords, at: &str, keyword: &str) -> Result<Option<&'d str>, InvalidSchema> {
    let found = keywords.get(keyword);
    found.map(|value| value.as_str().ok_or_else(|| invalid(&below(at, keyword), "is no string"))).transpose()
}

fn number(keywords: &Keywords, at: &str, keyword: &str) -> Result<Option<u64>, InvalidSchema> {
    let found = keywords.get(keyword);
    found
        .map(|value| value.as_u64().ok_or_else(|| invalid(&below(at, keyword), "is no integer from 0")))
        .transpose()
}

/// Reads a lower and an upper limit. Returns `None` if there is neither.
fn range(
    keywords: &Keywords,
    at: &str,
    least: &str,
    most: &str,
) -> Result<Option<(u64, u64)>, InvalidSchema> {
    let (least, most) = (number(keywords, at, least)?, number(keywords, at, most)?);
    let is_limited = least.is_some() || most.is_some();
    Ok(is_limited.then(|| (least.unwrap_or(0), most.unwrap_or(u64::MAX))))
}

fn names(names: &[Value], at: &str) -> Result<Vec<String>, InvalidSchema> {
    let names = names.iter().map(|name| name.as_str().map(str::to_owned));
    names.collect::<Option<_>>().ok_or_else(|| invalid(at, "is no list of strings"))
}

/// Refuses schemas that lead to themselves without going into the value: no check of them would end.
fn refuse_loops(nodes: &[Node]) -> Result<(), InvalidSchema> {
    // The nodes that were left. Nodes are visited with a list, not by recursion: a chain may be as long as the schema.
    let mut is_left = vec![false; nodes.len()];
    let mut is_entered = vec![false; nodes.len()];
    for start in 0..nodes.len() {
        let mut stack = vec![(start, false)];
        while let Some((node, leaving)) = stack.pop() {
            if leaving {
                is_left[node] = true;
            } else if is_entered[node] && !is_left[node] {
                return Err(InvalidSchema(
                    "a `$ref` leads to itself: between a schema and itself there must be a member or an item"
                        .to_owned(),
                ));
            } else if !is_entered[node] {
                is_entered[node] = true;
                stack.push((node, true));
                stack.extend(nodes[node].iter().flat_map(same_value).map(|next| (next, false)));
            }
        }
    }
    Ok(())
}

/// Returns the nodes that a rule applies to the value itself.
fn same_value(rule: &Rule) -> Vec<NodeId> {
    match rule {
        Rule::Refer(node) | Rule::Not(node) | Rule::With(_, node) => vec![*node],
        Rule::All(nodes) | Rule::Any(nodes) | Rule::One(nodes) => nodes.clone(),
        Rule::If { condition, then, otherwise } => {
            [Some(*condition), *then, *otherwise].into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the place of a part of the schema.
fn below(at: &str, part: &str) -> String {
    // Not longer: there are as many places as schemas in the schema.
    let part = &part[..part.floor_char_boundary(PLACE)];
    if at.len() < PLACE { format!("{at}/{part}") } else { at.to_owned() }
}

fn invalid(at: &str, why: &str) -> InvalidSchema {
    let mut why = format!("`{at}` {why}");
    why.truncate(why.floor_char_boundary(1_000));
    InvalidSchema(why)
}

fn quoted(text: &str) -> Value {
    Value::from(text)
}
