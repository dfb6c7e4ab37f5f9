//! What is seen on a terminal while something goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(unix)]

use forge_tests::program::{Statement, block, gate, step};
use forge_tests::{Cli, Host, Proxy, Services, Terminal, component};
use rustix::process::{Signal, kill_process};

/// Returns a step for each letter: names that differ in their numbers would be shown as one line.
fn steps(names: std::ops::RangeInclusive<char>) -> impl Iterator<Item = Statement> {
    names.map(|name| step(name, block![]).into())
}

#[tokio::test]
async fn the_head_of_a_watched_run_stays_in_sight_while_its_tree_grows() {
    let host = Host::with_interpreter().await;
    let services = Services::start().await;
    let mut body: Vec<Statement> = steps('a'..='z').collect();
    body.push(gate("first"));
    body.extend(steps('A'..='Z'));
    body.push(gate("second"));
    let run = host.api().start_program(&services, body).await;
    services.until_asked("first", 1).await;

    let (rows, columns) = (12, 60);
    let mut terminal = Terminal::start(host.cli().command(["runs", "watch", "last"]), rows, columns);
    let head = |screen: &str| {
        let lines: Vec<&str> = screen.lines().collect();
        assert!(lines.len() < usize::from(rows), "the cursor has the last line:\n{screen}");
        assert!(lines[0].starts_with("● program v1  running"), "{screen}");
        assert!(lines[1].starts_with(&format!("  run {run}")), "{screen}");
        assert!(lines[2].trim_start().starts_with("… ") && lines[2].ends_with(" lines above"), "{screen}");
    };
    for (gate, last) in [("first", 'z'), ("second", 'Z')] {
        // The last line says what the run does now: with it, the draw is whole.
        let (step, now) = (format!("✔ {last} "), format!("waits for `POST {}/gate/{gate}`", services.url()));
        let is_drawn = |screen: &str| screen.contains(&step) && screen.contains(&now[..25]);
        head(&terminal.until_screen(&format!("the {gate} gate"), is_drawn).await);
        services.open(gate);
    }
    assert!(terminal.ended().await.success());
    // The end is shown whole: what does not fit scrolls.
    let text = terminal.text();
    let (_, end) = text.rsplit_once("✔ program v1  completed").unwrap();
    for name in ('a'..='z').chain('A'..='Z') {
        assert!(end.contains(&format!("✔ {name}")), "`{name}` is missing in:\n{end}");
    }
}

#[tokio::test]
async fn a_line_says_for_how_long_the_server_has_been_compiling_and_is_gone_with_the_result() {
    let host = Host::start().await;
    let proxy = Proxy::start(host.url().trim_start_matches("http://").parse().unwrap()).await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("greeting.wasm");
    std::fs::write(&file, component("greeting")).unwrap();
    proxy.cut_answers();
    let deploy = ["--server", &proxy.address().to_string(), "deploy", file.to_str().unwrap()];
    let mut terminal = Terminal::start(host.cli().command(deploy), 24, 80);
    let seconds = |screen: &str| -> Option<u64> {
        let time = screen.strip_prefix("the server compiles the component (")?.strip_suffix(" s)")?;
        time.parse().ok()
    };
    let first = terminal.until_screen("the line", |screen| seconds(screen) >= Some(1)).await;
    terminal.until_screen("a later time", |screen| seconds(screen) > seconds(&first)).await;
    proxy.heal();
    assert!(terminal.ended().await.success());
    let screen = terminal.screen();
    assert!(screen.starts_with("greeting v3 (timeout 24h)\n"), "{screen}");
    assert!(screen.contains("\ndeployed: ") && !screen.contains("compiles"), "{screen}");
}

#[tokio::test]
async fn a_log_on_a_terminal_has_colours_unless_no_color_turns_them_off() {
    for (value, is_coloured) in [("", true), ("1", false)] {
        let folder = tempfile::TempDir::new().unwrap();
        let cli = Cli::default().folder(folder.path()).variable("NO_COLOR", value);
        let mut terminal = Terminal::start(cli.command(["serve", "--listen", "127.0.0.1:0"]), 24, 200);
        terminal.until("listening").await;
        kill_process(terminal.id(), Signal::TERM).unwrap();
        assert!(terminal.ended().await.success());
        assert_eq!(terminal.bytes().contains(&b'\x1b'), is_coloured, "{}", terminal.text());
    }
}
