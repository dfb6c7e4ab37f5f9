//! The layers of the host look down only: no upward import, no cycle between modules, and effects are known by kind in
//! their own modules alone. The test reads manifests and sources, and needs no build of the host.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of the host, and the crates among them that each may depend on.
const CRATES: [(&str, &[&str]); 8] = [
    ("journal", &[]),
    ("scheduling", &[]),
    ("clock", &["journal"]),
    ("toolchain", &[]),
    ("store", &["clock", "journal", "scheduling"]),
    ("egress", &["clock", "journal", "scheduling"]),
    ("sandbox", &["clock", "journal", "scheduling"]),
    ("", &["clock", "egress", "journal", "sandbox", "scheduling", "store", "toolchain"]),
];

/// The modules of `host/src`, and the modules among them that each may import.
const MODULES: [(&str, &[&str]); 11] = [
    ("config", &[]),
    ("encoding", &[]),
    ("moments", &[]),
    ("printable", &[]),
    ("tenants", &["config", "encoding"]),
    ("registry", &["config", "tenants"]),
    ("maintenance", &["config", "tenants"]),
    ("executor", &["config", "maintenance", "registry", "tenants"]),
    ("api", &["config", "encoding", "executor", "maintenance", "registry", "tenants"]),
    ("dashboard", &["api", "config", "executor", "moments", "printable", "registry", "tenants"]),
    (
        "cli",
        &[
            "api",
            "config",
            "dashboard",
            "encoding",
            "executor",
            "maintenance",
            "moments",
            "printable",
            "registry",
            "tenants",
        ],
    ),
];

/// Where the kind of an effect may be named: `(sources, the part of them that may)`.
const EFFECT_KINDS: [(&str, &str); 3] = [
    ("host/src/executor", "host/src/executor/effects"),
    ("host/journal/src", "host/journal/src/call_kind.rs"),
    ("host/sandbox/src", "host/sandbox/src/imports"),
];

/// Lines that break a rule and are known: the file, a part of the line, and the reason.
const EXCEPTIONS: [(&str, &str, &str); 0] = [];

#[test]
fn crates_depend_on_lower_crates_only() {
    let mut wrong = String::new();
    for (name, allowed) in CRATES {
        let path = root().join("host").join(name).join("Cargo.toml");
        let manifest = fs::read_to_string(&path).unwrap();
        let normal = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for (line, number) in normal.lines().zip(1..) {
            let Some(rest) = line.strip_prefix("forge-") else { continue };
            let crate_name = rest.split(['.', ' ', '=']).next().unwrap_or_default();
            if !allowed.contains(&crate_name) {
                report(&mut wrong, &path, number, line, "is an upward dependency");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn modules_of_the_host_import_lower_modules_only() {
    let mut wrong = String::new();
    for (module, allowed) in MODULES {
        for source in Source::all(&root().join("host/src"), module) {
            for (line, number) in source.code() {
                for target in imports(&line) {
                    let known = MODULES.iter().any(|(name, _)| *name == target);
                    if known && target != module && !allowed.contains(&target) {
                        report(&mut wrong, &source.path, number, &line, "is an upward import");
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn modules_of_a_crate_have_no_cycle() {
    let mut wrong = String::new();
    let hosts = CRATES.iter().map(|(name, _)| root().join("host").join(name));
    for crate_root in hosts.chain(["guest-sdk", "guest-sdk/macros", "bench"].map(|name| root().join(name))) {
        let sources = crate_root.join("src");
        let edges = edges(&sources);
        for cycle in cycles(&edges) {
            let _ = writeln!(wrong, "{}: the modules {cycle:?} import each other:", sources.display());
            for ((from, to), places) in &edges {
                if cycle.contains(from) && cycle.contains(to) {
                    let _ = writeln!(wrong, "  {from} → {to}: {}", places.join(", "));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn an_effect_is_known_by_its_kind_in_its_own_modules_alone() {
    let mut wrong = String::new();
    let kinds = effect_kinds();
    assert!(kinds.contains(&"\"http\"".to_owned()), "{kinds:?}");
    for (folder, allowed) in EFFECT_KINDS {
        for source in Source::all(&root().join(folder), "") {
            if source.path.starts_with(root().join(allowed)) {
                continue;
            }
            for (line, number) in source.code() {
                // The journal has failures of these kinds, too, and defines the type.
                let defines = line.contains("pub const ") && !line.contains("EffectKind");
                if kinds.iter().any(|kind| line.contains(kind)) && !defines {
                    report(&mut wrong, &source.path, number, &line, "names the kind of an effect");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn a_cycle_is_found_and_a_tree_has_none() {
    let edge = |from: &str, to: &str| ((from.to_owned(), to.to_owned()), vec!["here".to_owned()]);
    let mut edges: Edges = [edge("a", "b"), edge("b", "c"), edge("a", "c")].into();
    assert!(cycles(&edges).is_empty());
    edges.extend([edge("c", "b")]);
    assert_eq!(cycles(&edges), [BTreeSet::from(["b".to_owned(), "c".to_owned()])]);
    let found =
        imports("use crate::config::{size, Limits}; crate::tenants::Caller::local(); mycrate::api::x");
    assert_eq!(found, ["config", "tenants"]);
    assert_eq!(imports("use crate::{executor::{A, b::C}, cli, api::D};"), ["executor", "cli", "api"]);
}

fn root() -> PathBuf {
    // Read when the test runs: cargo does not compile it again when the repository has moved.
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).parent().unwrap().to_owned()
}

fn report(wrong: &mut String, path: &Path, number: usize, line: &str, what: &str) {
    let known = |(file, text, _): &(&str, &str, &str)| path.ends_with(file) && line.contains(text);
    if !EXCEPTIONS.iter().any(known) {
        let path = path.strip_prefix(root()).unwrap_or(path);
        let _ = writeln!(wrong, "{}:{number}: `{}` {what}", path.display(), line.trim());
    }
}

/// A Rust file without its unit tests.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Reads the sources of a module, which is a file or a folder, or of the whole folder for an empty name.
    fn all(folder: &Path, module: &str) -> Vec<Self> {
        let (mut files, mut found) =
            (vec![folder.join(module).with_extension("rs")], vec![folder.join(module)]);
        while let Some(folder) = found.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { found.push(path) } else { files.push(path) }
            }
        }
        let is_test = |path: &Path| {
            path.file_stem().is_some_and(|stem| stem == "tests") || path.iter().any(|part| part == "fuzz")
        };
        files.retain(|path| {
            path.is_file() && path.extension().is_some_and(|extension| extension == "rs") && !is_test(path)
        });
        files.into_iter().map(|path| Self { text: fs::read_to_string(&path).unwrap(), path }).collect()
    }

    /// The lines of code, with their numbers: without comments, without the unit tests at the end of the file, and
    /// with each `use` on one line.
    fn code(&self) -> Vec<(String, usize)> {
        let lines = self.text.lines().zip(1..).take_while(|(line, _)| !line.starts_with("mod tests {"));
        let mut code: Vec<(String, usize)> = Vec::new();
        let mut in_use = false;
        for (line, number) in lines.filter(|(line, _)| !line.trim_start().starts_with("//")) {
            match code.last_mut().filter(|_| in_use) {
                Some((begun, _)) => begun.push_str(line.trim_start()),
                None => code.push((line.to_owned(), number)),
            }
            let is_use = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "];
            in_use = (in_use || is_use.iter().any(|word| line.trim_start().starts_with(word)))
                && !line.contains(';');
        }
        code
    }
}

/// The top-level modules that a line imports from its crate: of `crate::x::…` and `crate::{x::…, y}`.
fn imports(line: &str) -> Vec<&str> {
    let word = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let mut found = Vec::new();
    for (at, matched) in line.match_indices("crate::") {
        if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &line[at + matched.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.push(&rest[..word(rest)]);
            continue;
        };
        let (mut depth, mut begins) = (0_u32, true);
        for (at, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                ' ' => {}
                _ if begins => {
                    found.push(&list[at..at + word(&list[at..])]);
                    begins = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// The imports between the top-level modules of a crate, each with the lines that have it.
type Edges = BTreeMap<(String, String), Vec<String>>;

fn edges(sources: &Path) -> Edges {
    let mut modules = BTreeSet::new();
    for entry in fs::read_dir(sources).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !["lib", "main", "tests"].contains(&stem.as_str()) {
            modules.insert(stem);
        }
    }
    let reexports = reexports(&sources.join("lib.rs"), &modules);
    let mut edges = Edges::new();
    for module in &modules {
        for source in Source::all(sources, module) {
            for (line, number) in source.code() {
                // In a top-level file, `super` is the crate.
                let line = match source.path.parent() == Some(sources) || is_root_of(&source.path, sources) {
                    true => line.replace("super::", "crate::"),
                    false => line,
                };
                for name in imports(&line) {
                    let target = reexports.get(name).map_or(name, String::as_str);
                    if target != module && modules.contains(target) {
                        let file = source.path.strip_prefix(sources).unwrap_or(&source.path);
                        let place = format!("{}:{number}", file.display());
                        edges.entry((module.clone(), target.to_owned())).or_default().push(place);
                    }
                }
            }
        }
    }
    edges
}

/// Whether this is the `mod.rs` of a top-level module.
fn is_root_of(path: &Path, sources: &Path) -> bool {
    path.ends_with("mod.rs") && path.parent().and_then(Path::parent) == Some(sources)
}

/// The names that the crate's root takes from its modules: `pub use row::{Row, Scope};`.
fn reexports(library: &Path, modules: &BTreeSet<String>) -> BTreeMap<String, String> {
    let text = fs::read_to_string(library).unwrap_or_default();
    let mut names = BTreeMap::new();
    for statement in text.split(';') {
        let Some((_, path)) = statement.split_once("use ") else { continue };
        let path = path.trim_start_matches("self::").trim_start_matches("crate::");
        let Some((module, rest)) = path.split_once("::") else { continue };
        if modules.contains(module) {
            let words = rest.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            names.extend(
                words.filter(|word| !word.is_empty()).map(|word| (word.to_owned(), module.to_owned())),
            );
        }
    }
    names
}

/// How the kinds of effects look in a source: as words, as constants, and as they are made.
fn effect_kinds() -> Vec<String> {
    let mut kinds = vec!["EffectKind::new(".to_owned()];
    for (_, defines) in EFFECT_KINDS {
        for source in Source::all(&root().join(defines), "") {
            let module = source.path.file_stem().unwrap().to_string_lossy().into_owned();
            for (line, _) in source.code() {
                let Some((constant, word)) = line.split_once(": EffectKind = EffectKind::new(") else {
                    continue;
                };
                let constant = constant.rsplit(' ').next().unwrap_or_default();
                kinds.extend([format!("{module}::{constant}"), word.trim_end_matches(");").to_owned()]);
            }
        }
    }
    kinds
}

/// The sets of modules that reach each other.
fn cycles(edges: &Edges) -> Vec<BTreeSet<String>> {
    let reach = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = next.pop() {
            for (_, to) in edges.keys().filter(|(from, _)| *from == module) {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    let modules: BTreeSet<&String> = edges.keys().flat_map(|(from, to)| [from, to]).collect();
    let reached: BTreeMap<&String, BTreeSet<String>> =
        modules.into_iter().map(|module| (module, reach(module))).collect();
    let cyclic = reached.iter().filter(|(module, reached)| reached.contains(**module));
    let mut found: Vec<BTreeSet<String>> = cyclic
        .map(|(module, reaches)| {
            reaches.iter().filter(|other| reached[other].contains(*module)).cloned().collect()
        })
        .collect();
    found.sort();
    found.dedup();
    found
}
