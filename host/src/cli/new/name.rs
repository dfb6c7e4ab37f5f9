use std::path::Path;

/// Longer names make longer paths than some systems take.
const MAX_LENGTH: usize = 64;

/// Names of packages that mean something else to Rust, or to a project.
const TAKEN: [&str; 10] = [
    "alloc",
    "core",
    "forge",
    "forge-macros",
    "forge_macros",
    "proc-macro",
    "proc_macro",
    "serde",
    "std",
    "test",
];

/// Words that Rust does not take as names of functions.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield", "union",
];

/// The name of a project, from which those of its workflow are made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// The last part of the project's path.
    pub(super) fn of_project(path: &Path) -> Result<Self, String> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => Self::new(name),
            None => Err(format!("{} does not end with a name", path.display())),
        }
    }

    fn new(name: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{name}` cannot be a project's name: {why}"));
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.split(['-', '_']).all(word) {
            return wrong("it has to be words of a-z and 0-9 with - or _ between them, such as book-table");
        }
        if name.len() > MAX_LENGTH {
            return wrong(&format!("it is longer than {MAX_LENGTH} characters"));
        }
        if TAKEN.contains(&name) || KEYWORDS.contains(&name) {
            return wrong("it means something else in Rust");
        }
        Ok(Self(name.to_owned()))
    }

    /// The package: `book-table`.
    pub(super) fn package(&self) -> &str {
        &self.0
    }

    /// The workflow: `book_table`.
    pub(super) fn workflow(&self) -> String {
        self.0.replace('-', "_")
    }

    /// What `#[forge::workflow]` makes of it: `BookTableWorkflow`.
    fn structure(&self) -> String {
        let mut structure: String = self.0.split(['-', '_']).map(capitalised).collect();
        if !structure.ends_with("Workflow") {
            structure.push_str("Workflow");
        }
        structure
    }

    /// A text of the template with the names filled in.
    pub(super) fn fill(&self, template: &str) -> String {
        template
            .replace("{{name}}", self.package())
            .replace("{{workflow}}", &self.workflow())
            .replace("{{structure}}", &self.structure())
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1.min(word.len()));
    first.to_ascii_uppercase() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_called_as_its_project() {
        let name = Name::of_project(Path::new("some/where/book-table")).unwrap();
        assert_eq!(
            (name.package(), name.workflow().as_str(), name.structure().as_str()),
            ("book-table", "book_table", "BookTableWorkflow")
        );
        assert_eq!(Name::new("pay_2_workflow").unwrap().structure(), "Pay2Workflow");
    }

    #[test]
    fn names_that_cargo_or_rust_would_refuse_are_refused_with_a_reason() {
        for wrong in ["", "9lives", "Hello", "a b", "a--b", "a-", "-a", "grün", "a/..", "a.b", "fn", "forge"]
        {
            assert!(Name::of_project(Path::new(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(
            Name::new("async").unwrap_err(),
            "`async` cannot be a project's name: it means something else in Rust"
        );
    }
}
