//! The macro `select!`.

/// Waits for the first of several futures, drops the others and returns the value of its branch.
///
/// The branches are polled in order of appearance, so a replay chooses the same one. A future is any expression that
/// can be awaited; it needs neither `fuse()` nor a pin. A future that goes on after the `select!` is passed by
/// reference and is pinned: `let mut job = std::pin::pin!(job);`, then `&mut job`.
///
/// `futures::select!` polls its branches in an order that a random generator of the thread gives. A replay skips
/// completed steps and the `select!`s in them, so the generator would give another order.
///
/// ```
/// use forge::prelude::*;
///
/// #[forge::workflow]
/// async fn patient(ctx: &WorkflowContext, _input: ()) -> Result<String> {
///     let mut answer = std::pin::pin!(ctx.step("slow", || async {
///         forge::sleep(Duration::from_secs(30)).await;
///         Ok("answer".to_string())
///     }).run());
///     let mut reminders = 0;
///     loop {
///         select! {
///             answer = &mut answer => return Ok(format!("{} after {reminders} reminders", answer?)),
///             () = forge::sleep(Duration::from_secs(12)) => reminders += 1,
///         }
///     }
/// }
/// # let run = forge::testing::TestRun::new(PatientWorkflow).run(());
/// # assert_eq!(run.output(), "answer after 2 reminders");
/// ```
#[macro_export]
macro_rules! select {
    (@branches {$($ready:tt)*}) => {
        $crate::__private::select_biased! { $($ready)* }
    };
    (@branches {$($ready:tt)*} $pattern:pat = $future:expr => $body:block $(, $($rest:tt)*)?) => {
        $crate::select! { @branches { $($ready)* $pattern = $crate::__private::fused($future) => $body, } $($($rest)*)? }
    };
    (@branches {$($ready:tt)*} $pattern:pat = $future:expr => $body:block $($rest:tt)+) => {
        $crate::select! { @branches { $($ready)* $pattern = $crate::__private::fused($future) => $body, } $($rest)+ }
    };
    (@branches {$($ready:tt)*} $pattern:pat = $future:expr => $body:expr $(, $($rest:tt)*)?) => {
        $crate::select! { @branches { $($ready)* $pattern = $crate::__private::fused($future) => $body, } $($($rest)*)? }
    };
    ($pattern:pat = $($branches:tt)+) => {
        $crate::select! { @branches {} $pattern = $($branches)+ }
    };
}

/// Returns the future in the form that `select_biased!` needs.
#[doc(hidden)]
pub fn fused<F: IntoFuture>(future: F) -> futures::future::Fuse<F::IntoFuture> {
    futures::FutureExt::fuse(future.into_future())
}
