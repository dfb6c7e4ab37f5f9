//! What every command prints, in 80 columns. `FORGE_GOLDEN=write` writes the file instead of comparing with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use forge_tests::program::{Statement, block, effect, fail, reversible, step};
use forge_tests::{Cli, Host, Services, binary, component, components};
use serde_json::json;

/// The width that all output fits.
const COLUMNS: usize = 80;

/// A name that does not fit into a table.
const LONG: &str = "settle_the_invoices_of_all_customers_of_the_last_quarter_in_their_own_currency";

/// Returns a word as it is in every run of the test: ids, times and amounts differ.
fn normal(word: &str) -> &str {
    if word.strip_suffix('…').is_some_and(|start| !start.is_empty() && LONG.starts_with(start)) {
        return "LONG…";
    }
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let is = |pattern: &str| {
        word.len() == pattern.len()
            && word.chars().zip(pattern.chars()).all(|(character, kind)| match kind {
                'x' => character.is_ascii_hexdigit(),
                '0' => character.is_ascii_digit(),
                other => character == other,
            })
    };
    let is_amount = word.starts_with(|character: char| character.is_ascii_digit())
        && ["ms", "s", "m", "h", "d", "ms,", "s,"].iter().any(|unit| {
            let number = word.strip_suffix(unit);
            number.is_some_and(|number| {
                number.chars().all(|character| character.is_ascii_digit() || character == '.')
            })
        });
    match word {
        _ if is("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx") => "RUN",
        _ if is("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx,") => "RUN,",
        _ if is("0000-00-00T00:00:00.000Z") => "TIMESTAMP",
        _ if is("0000-00-00") => "DATE",
        _ if is("00:00:00") => "TIME",
        _ if is("xxxxxxxxxxxx") && digits > 0 => "DIGEST",
        _ if word.len() == 64 && word.chars().all(|character| character.is_ascii_hexdigit()) => "DIGEST",
        _ if word.starts_with("{\"") => "DETAIL",
        _ if is_amount => "TOOK",
        _ if word.len() > 3 && digits == word.len() => "NUMBER",
        _ => word,
    }
}

/// Returns output in which what differs in each run of the test has names. Columns are two spaces apart.
fn normalised(text: &str, services: &Services) -> String {
    let text = text.replace(services.url(), "http://SERVICES");
    let line = |line: &str| {
        let content = line.trim_start();
        let indent = &line[..line.len() - content.len()];
        let columns = content.split("  ").map(str::trim).filter(|column| !column.is_empty());
        let columns = columns.map(|column| column.split(' ').map(normal).collect::<Vec<_>>().join(" "));
        format!("{indent}{}\n", columns.collect::<Vec<_>>().join("  ").replace("TOOK ms", "TOOK"))
    };
    // `12 ms`, `1.20 s` and `59 KiB` are two words.
    let text: String = text.lines().map(line).collect();
    amounts(&text)
}

/// Replaces amounts of two words.
fn amounts(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for place in 1..words.len() {
        let unit = words[place].trim_end_matches(|character: char| ",\n".contains(character)).to_owned();
        let unit = unit.lines().next().unwrap_or_default().trim_end_matches(',').to_owned();
        let is_number = !words[place - 1].is_empty()
            && words[place - 1].chars().all(|character| character.is_ascii_digit() || character == '.');
        if is_number && ["ms", "s", "min", "h", "B", "KiB", "MiB", "GiB"].contains(&&*unit) {
            words[place - 1] = "N".to_owned();
            words[place] = words[place].replacen(&unit, "UNIT", 1);
        }
    }
    words.join(" ")
}

#[track_caller]
fn fits(text: &str, command: &str) {
    for line in text.lines() {
        let width = line.chars().count();
        assert!(width <= COLUMNS, "{width} columns: `{line}` of `{command}`");
    }
}

#[tokio::test]
async fn every_output_is_the_golden_one_and_fits_80_columns() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let (api, cli) = (host.api(), host.cli());
    api.deploy(&component("greeting")).await;
    api.deploy(&components::describing(&[(LONG, 1)])).await;
    let parent = api.start_program(&services, block![Statement::Child(block![effect("pack")])]).await;
    api.settled(&parent).await;
    let child = api.step(&parent, "child", "program").await["child_run"].as_str().unwrap().to_owned();
    let waiting = block![effect("kettle"), Statement::Event("approval".to_owned(), None)];
    let waiting = api.start_program(&services, waiting).await;
    api.until_status(&waiting, "waiting").await;
    let bodies = [
        block![
            Statement::Log("the shop is open".to_owned()),
            step("tea", block![Statement::Log("the water boils".to_owned()), effect("kettle")]),
            Statement::Publish("progress".to_owned(), json!({"cups": 1})),
            reversible("milk"),
        ],
        block![
            reversible("reserve"),
            step(
                "bake",
                block![fail(
                    "there is neither flour nor water nor salt in this kitchen, and the shop is closed"
                )]
            )
        ],
        (1..=20).map(|number| step(format!("page_{number}"), block![]).into()).collect(),
    ];
    let mut runs = Vec::new();
    for body in bodies {
        let run = api.start_program(&services, body).await;
        api.settled(&run).await;
        runs.push(run);
    }
    let tea = &*runs[0];
    let run = api.start(LONG, json!({})).await;
    api.settled(&run).await;
    let failed = cli.run(["runs", "--failed", "--workflow", "program", "--json"]).await.json();
    let failed = failed["runs"][0]["id"].as_str().unwrap().to_owned();
    let loop_of_steps = cli.run(["runs", "--status", "completed", "--json"]).await.json();
    let loop_of_steps = loop_of_steps["runs"][0]["id"].as_str().unwrap().to_owned();

    fits(&cli.run(["usage"]).await.ok(), "usage");
    let mut all = String::new();
    let commands: [&[&str]; 29] = [
        &["workflows"],
        &["workflows", "greeting"],
        &["activate", "greeting", "2"],
        &["deprecate", "greeting", "3"],
        &["start", "greeting", "--input", "\"Ada\"", "--wait"],
        &["runs"],
        &["send", &waiting, "other", "--payload", "[1]"],
        &["runs", "show", &waiting],
        &["runs", "show", &parent],
        &["runs", "show", &parent, "--deep"],
        &["runs", "show", &child],
        &["runs", "show", tea],
        &["runs", "logs", tea],
        &["runs", "logs", &failed],
        &["runs", "show", &failed],
        &["runs", "show", &loop_of_steps],
        &["runs", "show", "last"],
        &["runs", "watch", "last"],
        &["runs", "delete", "last", "--yes"],
        &["tenants", "list"],
        &["keys", "list"],
        &["secrets", "list"],
        &["db", "put", "stock/tea", "5"],
        &["db", "put", "stock/tea", "4", "--if-version", "7"],
        &["db", "get", "stock/tea"],
        &["db", "list", "stock/"],
        &["db", "delete", "stock/tea"],
        &["audit"],
        &["nodes"],
    ];
    for command in commands {
        let output = cli.run(command).await;
        let shown =
            command.iter().map(|word| normal(word)).collect::<Vec<_>>().join(" ").replace(LONG, "LONG");
        // Errors and outputs are shown whole, and so is what goes to standard error. The terminal wraps them.
        if !shown.starts_with("runs show") {
            fits(&output.stdout, &shown);
        }
        let stdout = normalised(&output.stdout, &services);
        all.push_str(&format!("$ forge {shown}\n{stdout}{}\n", normalised(&output.stderr, &services)));
    }
    let file = binary::root().join("tests/golden/cli.txt");
    if std::env::var_os("FORGE_GOLDEN").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &all).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&file).unwrap();
    for (line, (found, expected)) in all.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, expected, "line {} of {}\n{all}", line + 1, file.display());
    }
    assert_eq!(all.lines().count(), golden.lines().count(), "{all}");
}

#[tokio::test]
async fn every_help_fits_80_columns() {
    let cli = Cli::default().variable("COLUMNS", &COLUMNS.to_string());
    let mut left = vec![vec![]];
    let mut seen = 0;
    while let Some(command) = left.pop() {
        let command: Vec<String> = command;
        let help = cli.run(command.iter().map(String::as_str).chain(["--help"])).await.ok();
        fits(&help, &command.join(" "));
        seen += 1;
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names = commands.take_while(|line| line.starts_with("  ")).filter_map(|line| {
            let name = line.strip_prefix("  ")?;
            name.starts_with(|character: char| character.is_ascii_lowercase())
                .then(|| name.split(' ').next())?
        });
        let names = names.filter(|name| *name != "help");
        left.extend(names.map(|name| command.iter().cloned().chain([name.to_owned()]).collect()));
    }
    assert!(seen > 35, "the commands of the commands, too: {seen}");
}
