//! Finding dependencies that cannot work in a component, before they are compiled.
//!
//! `cargo tree` resolves features for the target as `cargo build` does. `cargo metadata` unites them with those of
//! build scripts and procedural macros, and would report crates that a component does not have.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};

/// The arguments of `cargo tree` for [`unsuitable`]: a line for each dependency, with its depth first.
pub(crate) const TREE: [&str; 7] = ["tree", "--edges", "normal", "--prefix", "depth", "--format", "{p}\t{f}"];

/// Features of tokio that compile for no WebAssembly target without an operating system.
const TOKIO_FEATURES: [&str; 6] = ["fs", "io-std", "net", "process", "rt-multi-thread", "signal"];

/// A dependency that cannot work in a component, and where it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsuitableDependency {
    /// The packages from the workflow crate to the one that cannot work, as `name version`.
    pub path: Vec<String>,
    /// The reason, and what to do.
    pub reason: String,
    /// The manifest that declares the dependency.
    pub manifest: PathBuf,
    /// The number of the line that declares it, from 1, and the line.
    pub line: Option<(usize, String)>,
}

impl fmt::Display for UnsuitableDependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  {}", self.manifest.display())?;
        if let Some((number, line)) = &self.line {
            write!(f, ":{number}: {line}")?;
        }
        if self.path.len() > 2 {
            write!(f, "\n    {}", self.path.join(" → "))?;
        }
        write!(f, "\n    {}", self.reason)
    }
}

/// A package in the output of `cargo tree`.
#[derive(Debug)]
struct Node {
    name: String,
    version: String,
    /// The folder of a package that is no download.
    folder: Option<PathBuf>,
    features: BTreeSet<String>,
    dependencies: BTreeSet<usize>,
}

/// Returns the dependencies that cannot work, by the output of `cargo tree` with [`TREE`].
pub(crate) fn unsuitable(tree: &str) -> Vec<UnsuitableDependency> {
    let nodes = read(tree);
    let mut found = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        let Some(problem) = problem(node) else { continue };
        let Some(path) = path_to(&nodes, at) else { continue };
        let path: Vec<&Node> = path.into_iter().map(|at| &nodes[at]).collect();
        // The last package of the author's own on the path declares the dependency that leads to the problem.
        let Some(own) =
            path.iter().rposition(|node| node.folder.is_some()).filter(|own| own + 1 < path.len())
        else {
            continue;
        };
        let declared = path[own + 1];
        let manifest = path[own].folder.clone().unwrap_or_default().join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap_or_default();
        let dependency = UnsuitableDependency {
            path: path[own..].iter().map(|node| format!("{} {}", node.name, node.version)).collect(),
            reason: format!("{problem} {}", advice(declared, node)),
            line: declaration(&text, &declared.name),
            manifest,
        };
        // One dependency often leads to several packages that cannot work.
        if !found.iter().any(|known: &UnsuitableDependency| known.path[1] == dependency.path[1]) {
            found.push(dependency);
        }
    }
    found
}

/// Reads the tree. A package that occurs again has no dependencies there, so they are collected by package.
fn read(tree: &str) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut known = BTreeMap::new();
    let mut above: Vec<usize> = Vec::new();
    for line in tree.lines() {
        let digits = line.find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len());
        let (Ok(depth), Some((package, features))) =
            (line[..digits].parse::<usize>(), line[digits..].split_once('\t'))
        else {
            continue;
        };
        // A procedural macro runs in the compiler. Its dependencies follow it in the tree and are not reached.
        if package.contains("(proc-macro)") {
            above.truncate(depth);
            above.push(usize::MAX);
            continue;
        }
        let at = *known.entry(package.to_owned()).or_insert_with(|| {
            nodes.push(node(package, features));
            nodes.len() - 1
        });
        above.truncate(depth);
        if let Some(parent) = above.last().filter(|parent| **parent != usize::MAX) {
            nodes[*parent].dependencies.insert(at);
        }
        above.push(at);
    }
    nodes
}

/// Reads `name v1.2.3 (/folder)` and `feature,feature (*)`.
fn node(package: &str, features: &str) -> Node {
    let mut words = package.splitn(3, ' ');
    let name = words.next().unwrap_or_default().to_owned();
    let version = words.next().unwrap_or_default().trim_start_matches('v').to_owned();
    let source = words.next().map(|source| source.trim_matches(['(', ')']));
    let features = features.trim_end_matches("(*)").trim();
    Node {
        name,
        version,
        folder: source.map(Path::new).filter(|path| path.is_absolute()).map(Path::to_owned),
        features: features.split(',').map(str::to_owned).collect(),
        dependencies: BTreeSet::new(),
    }
}

/// Returns the shortest path from the first package to this one that does not lead through the SDK: what the SDK
/// depends on works, with the features that it chooses.
fn path_to(nodes: &[Node], wanted: usize) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::from([(0, 0)]);
    let mut next = VecDeque::from([0]);
    while let Some(at) = next.pop_front() {
        if at == wanted {
            let mut path = vec![at];
            while path[path.len() - 1] != 0 {
                path.push(came_from[&path[path.len() - 1]]);
            }
            path.reverse();
            return Some(path);
        }
        let is_sdk = |at: usize| nodes[at].name == "forge";
        for dependency in nodes[at].dependencies.iter().filter(|at| !is_sdk(**at)) {
            came_from.entry(*dependency).or_insert_with(|| {
                next.push_back(*dependency);
                at
            });
        }
    }
    None
}

/// Returns why a package cannot work.
fn problem(node: &Node) -> Option<String> {
    match node.name.as_str() {
        "wasm-bindgen" => {
            Some("It needs JavaScript (wasm-bindgen), which a workflow does not have.".to_owned())
        }
        "getrandom" if node.version.starts_with("0.1.") => {
            Some("getrandom 0.1 has no source of randomness in a component.".to_owned())
        }
        "tokio" => {
            let features: Vec<&str> =
                TOKIO_FEATURES.into_iter().filter(|feature| node.features.contains(*feature)).collect();
            let message = format!("tokio's features {} need an operating system.", features.join(", "));
            Some(message).filter(|_| !features.is_empty())
        }
        _ => None,
    }
}

/// Returns what to write instead. `declared` is the dependency of the author's crate.
fn advice(declared: &Node, cause: &Node) -> &'static str {
    match (declared.name.as_str(), cause.name.as_str()) {
        ("chrono", _) => {
            "Write chrono = { version = \"0.4\", default-features = false, features = [\"std\"] }. The time is \
             ctx.workflow_time()."
        }
        ("tokio", _) => {
            "Forge runs the workflow's futures: use forge::sleep, forge::time::timeout, join! and select!. Of tokio's \
             features, sync, macros and io-util work."
        }
        ("reqwest" | "gloo-net", _) => "Send requests with forge::http.",
        ("getrandom" | "uuid" | "rand" | "time" | "instant" | "web-time", "wasm-bindgen") => {
            "Remove its feature for JavaScript (js, wasm_js, wasm-bindgen): Forge provides time and randomness."
        }
        (_, "getrandom") => "Use a version that depends on getrandom 0.2 or later, such as rand 0.8.",
        (_, "tokio") => {
            "It is made for servers. Use it without the feature that needs tokio, or use another crate."
        }
        _ => {
            "Turn off the feature that needs it (often js, wasmbind or a default feature), or use another crate."
        }
    }
}

/// Returns the line of a manifest that declares a dependency on this package.
fn declaration(manifest: &str, package: &str) -> Option<(usize, String)> {
    let mut in_dependencies = false;
    for (line, number) in manifest.lines().zip(1..) {
        let text = line.trim();
        if let Some(header) = text.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            in_dependencies = header.ends_with("dependencies");
            let is_table = header.rsplit_once('.').is_some_and(|(section, name)| {
                section.ends_with("dependencies") && name.trim_matches(['"', '\'']) == package
            });
            if is_table {
                return Some((number, text.to_owned()));
            }
            continue;
        }
        let key = text.split(['=', '.', ' ']).next().unwrap_or_default().trim_matches(['"', '\'']);
        let renamed = text.split_once("package").is_some_and(|(_, rest)| {
            rest.trim_start().strip_prefix('=').is_some_and(|name| {
                name.trim_start().trim_start_matches(['"', '\'']).split(['"', '\'']).next() == Some(package)
            })
        });
        if in_dependencies && (renamed || (key == package && !text.contains("package"))) {
            return Some((number, text.to_owned()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tree: &str) -> Vec<(Vec<String>, String)> {
        unsuitable(tree).into_iter().map(|found| (found.path, found.reason)).collect()
    }

    #[test]
    fn a_dependency_that_needs_javascript_is_named_with_its_path() {
        let tree = "0order v0.1.0 (/w/order)\t\n1chrono v0.4.45\tclock,wasmbind\n2js-sys v0.3.1\t\n\
                    3wasm-bindgen v0.2.1\tdefault\n1forge v0.1.0 (/w/sdk)\t\n2chrono v0.4.45\tclock,wasmbind (*)\n";
        let [(path, reason)] = &found(tree)[..] else { panic!("one is found") };
        assert_eq!(path[..], ["order 0.1.0", "chrono 0.4.45", "js-sys 0.3.1", "wasm-bindgen 0.2.1"]);
        assert!(reason.contains("JavaScript") && reason.contains("default-features = false"), "{reason}");
    }

    #[test]
    fn a_dependency_is_found_where_the_authors_own_crate_declares_it() {
        let tree = "0order v0.1.0 (/w/order)\t\n1forge v0.1.0 (/w/sdk)\t\n2uuid v1.0.0\tjs,v4\n\
                    3wasm-bindgen v0.2.1\t\n1shared v0.1.0 (/w/shared)\t\n2uuid v1.0.0\tjs,v4 (*)\n";
        let [(path, _)] = &found(tree)[..] else { panic!("one is found") };
        assert_eq!(path[..], ["shared 0.1.0", "uuid 1.0.0", "wasm-bindgen 0.2.1"]);
    }

    #[test]
    fn what_the_compiler_runs_and_what_works_is_not_reported() {
        let tree = "0order v0.1.0 (/w/order)\t\n1tokio v1.0.0\tmacros,sync\n1macros v1.0.0 (proc-macro)\t\n\
                    2tokio v1.1.0\tfs,net\n2wasm-bindgen v0.2.1\t\n1rand v0.8.0\t\n2getrandom v0.2.1\tstd\n";
        assert_eq!(found(tree), []);
    }

    #[test]
    fn features_of_tokio_and_an_old_rand_are_reported() {
        let tree = "0order v0.1.0 (/w/order)\t\n1rand v0.7.0\t\n2getrandom v0.1.1\tstd\n1tokio v1.0.0\tfull,net,fs\n";
        let found = found(tree);
        assert!(found[0].1.contains("rand 0.8"), "{found:?}");
        assert!(found[1].1.starts_with("tokio's features fs, net need an operating system."), "{found:?}");
    }

    #[test]
    fn the_line_of_a_dependency_is_found_in_every_form() {
        let manifest = "[package]\nname = \"chrono\"\n[dependencies]\na = \"1\"\nchrono = \"0.4\"\n\
                        time.workspace = true\nrand9 = { package = \"rand\", version = \"0.9\" }\n\
                        [target.'cfg(unix)'.dependencies.uuid]\nversion = \"1\"\n";
        let number = |package: &str| declaration(manifest, package).map(|(number, _)| number);
        assert_eq!(
            ["chrono", "time", "rand", "uuid", "rand9", "none"].map(number),
            [Some(5), Some(6), Some(7), Some(8), None, None]
        );
    }
}
