use std::path::Path;

/// Longer names lead to paths that are too long for some systems.
const MAX_LENGTH: usize = 64;

/// Names of crates that Rust or a project uses.
const RESERVED: [&str; 10] = [
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

/// Words that Rust does not allow as function names.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield", "union",
];

/// The name of a project. The names in its code are derived from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// Returns the last part of the project's path as its name.
    pub(super) fn of_project(path: &Path) -> Result<Self, String> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => Self::new(name),
            None => Err(format!("{} does not end with a name", path.display())),
        }
    }

    fn new(name: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{name}` cannot be the name of a project: {why}"));
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.split(['-', '_']).all(word) {
            return wrong("it must be words of a-z and 0-9 with - or _ between them, such as book-table");
        }
        if name.len() > MAX_LENGTH {
            return wrong(&format!("it is longer than {MAX_LENGTH} characters"));
        }
        if RESERVED.contains(&name) || KEYWORDS.contains(&name) {
            return wrong("Rust uses it for something else");
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns the name of the package: `book-table`.
    pub(super) fn package(&self) -> &str {
        &self.0
    }

    /// Returns the name of the workflow: `book_table`.
    pub(super) fn workflow(&self) -> String {
        self.0.replace('-', "_")
    }

    /// Returns the name of the struct that `#[forge::workflow]` generates: `BookTableWorkflow`.
    fn structure(&self) -> String {
        let mut structure: String = self.0.split(['-', '_']).map(capitalised).collect();
        if !structure.ends_with("Workflow") {
            structure.push_str("Workflow");
        }
        structure
    }

    /// Replaces the placeholders for names in a file of the template.
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
    fn a_workflow_is_named_after_its_project() {
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
            "`async` cannot be the name of a project: Rust uses it for something else"
        );
    }
}
