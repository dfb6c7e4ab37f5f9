//! Lines and published values that no correct guest makes.

use crate::bindings::forge::workflow::run::{LogLevel, log, publish};
use crate::{Attack, BODY, Outcome, begin, done, options};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    ("log_odd_texts", log_odd_texts),
    ("log_in_scopes_that_do_not_exist", log_in_scopes_that_do_not_exist),
    ("publish_many_names", publish_many_names),
    ("publish_large_values", publish_large_values),
    ("publish_ten_megabytes", publish_ten_megabytes),
    ("publish_odd_names", publish_odd_names),
    ("publish_no_json", publish_no_json),
    ("flood_publish", flood_publish),
];

const MIB: usize = 1 << 20;

fn log_odd_texts(_: &str) -> Outcome {
    for text in ["\u{1b}[2J\u{7}", "nul \0", "\u{202e}txt.exe", "<script>", "a\nINFO forged", "", "🦀"] {
        log(BODY, LogLevel::Error, text);
    }
    let scope = begin(BODY, "\u{202e}step\u{1b}[1m", options());
    log(scope, LogLevel::Warn, "in it");
    done()
}

fn log_in_scopes_that_do_not_exist(_: &str) -> Outcome {
    for scope in [1, 77, u64::from(u32::MAX), u64::MAX] {
        log(scope, LogLevel::Info, "where is this?");
        publish(scope, "place", &scope.to_string());
    }
    done()
}

fn publish_many_names(_: &str) -> Outcome {
    for number in 0..1_000 {
        publish(BODY, &format!("name {number}"), &number.to_string());
    }
    done()
}

fn publish_large_values(_: &str) -> Outcome {
    let value = |bytes: usize| format!("\"{}\"", "v".repeat(bytes));
    publish(BODY, "small", &value(60_000));
    publish(BODY, "too large", &value(6_000));
    publish(BODY, "larger than a payload", &value(2 * MIB));
    publish(BODY, "fits", &value(1_000));
    done()
}

fn publish_ten_megabytes(_: &str) -> Outcome {
    publish(BODY, "large", &format!("\"{}\"", "v".repeat(10 * MIB)));
    done()
}

fn publish_odd_names(_: &str) -> Outcome {
    for name in ["", "\u{1b}[2J", "a\nb", &"n".repeat(256), "\u{202e}name"] {
        publish(BODY, name, "1");
    }
    done()
}

fn publish_no_json(_: &str) -> Outcome {
    for value in ["", "{", "1 2", "\u{0}", "NaN", "\"\\ud800\"", &"[".repeat(200)] {
        publish(BODY, "value", value);
    }
    done()
}

fn flood_publish(_: &str) -> Outcome {
    publish(BODY, "ballast", &format!("\"{}\"", "b".repeat(60_000)));
    for round in 0u64.. {
        publish(BODY, "round", &round.to_string());
    }
    done()
}
