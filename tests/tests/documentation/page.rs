//! The code blocks of a page.

use std::path::Path;

use forge_tests::binary::root;

/// The pages whose blocks run.
const PAGES: [&str; 2] = ["README.md", "docs/workflows.md"];

/// A page.
pub(crate) struct Page {
    /// Its path in the repository.
    pub(crate) name: String,
    pub(crate) blocks: Vec<Block>,
}

/// A code block.
pub(crate) struct Block {
    pub(crate) language: Language,
    pub(crate) mark: Mark,
    /// The number of its first line.
    pub(crate) line: usize,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Console,
    Rust,
    /// Neither commands nor code.
    Text,
}

/// What is special about a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing.
    None,
    /// It is not run, for this reason.
    NotRun(String),
    /// Its commands run in the folder of the repository.
    InRepository,
    /// Its last command goes on until the end of the page, in a terminal of its own.
    RunsOn,
    /// Its last command goes on until this key is pressed.
    RunsUntil(String),
}

impl Page {
    /// Reads the pages whose blocks run.
    pub(crate) fn all() -> Vec<Self> {
        PAGES
            .iter()
            .map(|name| Self::parse(name, &std::fs::read_to_string(root().join(name)).unwrap()))
            .collect()
    }

    /// Returns its file name without the extension, in lower case.
    pub(crate) fn stem(&self) -> String {
        Path::new(&self.name).file_stem().unwrap().to_str().unwrap().to_lowercase()
    }

    fn parse(name: &str, text: &str) -> Self {
        let mut blocks = Vec::new();
        let mut mark = Mark::None;
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let place = format!("{name}:{}", number + 1);
            if let Some(language) = line.strip_prefix("```") {
                let text = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
                let text = text.map(|line| format!("{line}\n")).collect();
                let language = Language::parse(language, &place);
                blocks.push(Block { language, mark, line: number + 2, text });
                mark = Mark::None;
            } else {
                assert_eq!(mark, Mark::None, "{place}: a mark belongs to the block below it");
                if let Some(text) = line.strip_prefix("<!-- test: ") {
                    mark = Mark::parse(text.strip_suffix(" -->").unwrap_or(text), &place);
                }
            }
        }
        Self { name: name.to_owned(), blocks }
    }
}

impl Language {
    fn parse(name: &str, place: &str) -> Self {
        match name {
            "console" => Self::Console,
            "rust" => Self::Rust,
            "text" => Self::Text,
            _ => panic!("{place}: `{name}` is none of `console`, `rust` and `text`"),
        }
    }
}

impl Mark {
    fn parse(text: &str, place: &str) -> Self {
        match text.split_once(": ") {
            Some(("not run", why)) => Self::NotRun(why.to_owned()),
            None if text == "in the repository" => Self::InRepository,
            None if text == "runs on" => Self::RunsOn,
            None if text.starts_with("runs until ") => Self::RunsUntil(text.replace("runs until ", "")),
            _ => panic!("{place}: nobody knows the mark `{text}`"),
        }
    }
}
