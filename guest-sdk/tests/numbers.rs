//! Numbers beyond 64 bits, and decimals: they reach the workflow, the journal and the output as they are.

use forge::prelude::*;
use forge::serde_json::value::RawValue;
use forge::testing::{TestResponse, TestRun};
use serde::{Deserialize, Serialize};

/// Numbers that neither an `i64`, an `u64` nor a `f64` has.
const INTEGER: u128 = (1 << 64) + 1;
const DECIMAL: &str = "1234567890123456789.000000000000000001";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Amount {
    units: u128,
    exact: Box<RawValue>,
    double: f64,
}

fn amount(double: f64) -> Amount {
    let exact = RawValue::from_string(DECIMAL.to_owned()).expect("a number is JSON");
    Amount { units: INTEGER, exact, double }
}

#[forge::workflow]
async fn account(ctx: &WorkflowContext, amount: Amount) -> Result<Amount> {
    let echo = || async { forge::http::post("http://bank").json(&amount).send().await?.json::<Amount>() };
    let booked = ctx.step("book", echo).compensate(|_| async { Ok(()) }).run().await?;
    let again: Amount = ctx.get_step_result("book").context("it is recorded")?;
    ensure!(again.units == booked.units && again.exact.get() == booked.exact.get());
    Ok(booked)
}

#[test]
fn numbers_pass_through_input_request_step_and_output() {
    for seed in 0..2_000_u64 {
        let double = f64::from_bits(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
        let respond = |request: &forge::testing::TestRequest| {
            TestResponse::text(200, String::from_utf8_lossy(&request.body).into_owned())
        };
        let run = TestRun::new(AccountWorkflow).http(respond).run(amount(double));
        let output = run.output();
        assert_eq!((output.units, output.exact.get()), (INTEGER, DECIMAL));
        assert_eq!(output.double.to_bits(), double.to_bits());
    }
}

#[test]
fn so_they_do_from_a_recorded_step() {
    let run = TestRun::new(AccountWorkflow).complete_step("book", amount(0.1)).run(amount(0.2));
    let output = run.output();
    assert_eq!((output.units, output.exact.get(), output.double), (INTEGER, DECIMAL, 0.1));
}
