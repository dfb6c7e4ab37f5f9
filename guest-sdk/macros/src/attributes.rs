//! The attributes that may follow `#[forge::workflow]`.

use syn::ext::IdentExt;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, Meta, Result};

use crate::duration;
use crate::signature::{all_or_none, error};

/// The longest name that the host's tables can store, in bytes.
const MAX_NAME: usize = 255;

const DEFAULT_TIMEOUT_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// The values of the attributes.
pub(crate) struct Attributes {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) timeout_millis: u64,
    pub(crate) deprecated: bool,
}

impl Attributes {
    /// Removes the workflow's attributes from `attrs` and returns their values. Other attributes remain on
    /// the function. Reports all errors at once.
    pub(crate) fn take(attrs: &mut Vec<Attribute>, function: &Ident) -> Result<Self> {
        let mut taken = Taken::default();
        let mut errors = Vec::new();
        attrs.retain(|attr| {
            taken.add(attr).map(|ours| !ours).unwrap_or_else(|error| {
                errors.push(error);
                false
            })
        });
        all_or_none(errors)?;
        Ok(Attributes {
            name: taken.name.map_or_else(|| default_name(function), Ok)?,
            version: taken.version.unwrap_or(1),
            timeout_millis: taken.timeout_millis.unwrap_or(DEFAULT_TIMEOUT_MILLIS),
            deprecated: taken.deprecated.is_some(),
        })
    }
}

#[derive(Default)]
struct Taken {
    name: Option<String>,
    version: Option<u32>,
    timeout_millis: Option<u64>,
    deprecated: Option<()>,
}

impl Taken {
    /// Reads `attr` if it is an attribute of a workflow. Returns `false` if it is another one.
    fn add(&mut self, attr: &Attribute) -> Result<bool> {
        let Some(ident) = attr.path().get_ident() else { return Ok(false) };
        match ident.to_string().as_str() {
            "name" => put(&mut self.name, name(attr)?, ident)?,
            "version" => put(&mut self.version, version(attr)?, ident)?,
            "timeout" => put(&mut self.timeout_millis, timeout(attr)?, ident)?,
            "deprecated" => match attr.meta {
                Meta::Path(_) => put(&mut self.deprecated, (), ident)?,
                _ => {
                    return error(
                        attr,
                        "write #[deprecated] without a note; put the note in the doc comment",
                    );
                }
            },
            // Any other `#[word = ..]` is a misspelt attribute: on functions rustc knows only these two.
            word if matches!(attr.meta, Meta::NameValue(_)) && !matches!(word, "doc" | "must_use") => {
                let known = "#[name = \"..\"], #[version = 1], #[timeout = \"24h\"] and #[deprecated]";
                return error(attr, format!("a workflow has no attribute `{word}`; it has {known}"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn put<T>(slot: &mut Option<T>, value: T, ident: &Ident) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => error(ident, format!("`{ident}` is given twice")),
    }
}

fn name(attr: &Attribute) -> Result<String> {
    let form = "write the name as a string: #[name = \"user_onboarding\"]";
    let Lit::Str(literal) = literal(attr, form)? else { return error(attr, form) };
    let name = literal.value();
    match is_name(&name) {
        true => Ok(name),
        false => error(literal, NAME_RULE),
    }
}

fn default_name(function: &Ident) -> Result<String> {
    let name = function.unraw().to_string();
    match is_name(&name) {
        true => Ok(name),
        false => error(function, format!("{NAME_RULE}: add #[name = \"..\"]")),
    }
}

const NAME_RULE: &str =
    "a workflow's name has 1 to 255 characters of a-z, A-Z, 0-9, _, - and ., and begins with a letter";

/// The rule of `workflow-info.name` in `wit/workflow.wit`.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

fn version(attr: &Attribute) -> Result<u32> {
    let form = "write the version as an integer: #[version = 1]";
    let Lit::Int(literal) = literal(attr, form)? else { return error(attr, form) };
    match literal.base10_parse::<u32>() {
        Ok(0) => error(literal, "versions begin at 1"),
        Ok(version) => Ok(version),
        Err(_) => error(literal, format!("a version is an integer from 1 to {}", u32::MAX)),
    }
}

fn timeout(attr: &Attribute) -> Result<u64> {
    let form = "write the timeout as a string: #[timeout = \"24h\"]";
    let Lit::Str(literal) = literal(attr, form)? else { return error(attr, form) };
    duration::parse(&literal.value()).or_else(|message| error(literal, message))
}

/// Returns the literal of `#[word = literal]`.
fn literal<'a>(attr: &'a Attribute, form: &str) -> Result<&'a Lit> {
    match &attr.meta {
        Meta::NameValue(meta) => match &meta.value {
            Expr::Lit(ExprLit { lit, .. }) => Ok(lit),
            other => error(other, form),
        },
        other => error(other, form),
    }
}
