//! The failure of a child.

use uuid::Uuid;

use crate::error::Failure;

/// The failure of a child run: which run, and why. See [`Failure::child`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildFailure {
    /// The id of the child's run.
    pub run_id: Uuid,
    /// The kind of the child's failure.
    pub kind: String,
    /// The message of the child's failure.
    pub message: String,
}

impl Failure {
    /// Returns the failure of the child run, if that is why a call or step failed: a failure of kind `child`.
    ///
    /// ```
    /// use forge::prelude::*;
    ///
    /// #[forge::workflow]
    /// async fn order(ctx: &WorkflowContext, sku: String) -> Result<String> {
    ///     match ctx.child("ship_order", &sku).run::<String>().await {
    ///         Ok(parcel) => Ok(parcel),
    ///         Err(error) => match error.downcast_ref().and_then(Failure::child) {
    ///             Some(child) if child.kind == "sold-out" => Ok(format!("sold out, says {}", child.run_id)),
    ///             _ => Err(error),
    ///         },
    ///     }
    /// }
    ///
    /// use forge::testing::{TestOutcome, TestRun};
    ///
    /// let run = TestRun::new(OrderWorkflow)
    ///     .child("ship_order", |_| TestOutcome::failed("sold-out", "no chair is left"))
    ///     .run("chair");
    /// assert_eq!(*run.output(), format!("sold out, says {}", run.children[0].run_id));
    /// ```
    pub fn child(&self) -> Option<ChildFailure> {
        // The text is part of the contract, so that it survives being the failure of a step around the call: the journal
        // keeps the kind and the message of a step's failure. Context that the author adds stands before it.
        let starts = self.message.match_indices("run ").filter(|_| self.kind == Failure::CHILD);
        starts.map(|(at, run)| &self.message[at + run.len()..]).find_map(ChildFailure::read)
    }
}

impl ChildFailure {
    /// Reads `RUN-ID failed (KIND): MESSAGE`.
    fn read(text: &str) -> Option<Self> {
        let (run_id, rest) = text.split_once(" failed (")?;
        let (kind, message) = rest.split_once("): ")?;
        let run_id = Uuid::try_parse(run_id).ok()?;
        Some(ChildFailure { run_id, kind: kind.to_owned(), message: message.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "01941f29-7c00-7000-8000-000000000001";
    const OTHER: &str = "01941f29-7c00-7000-8000-000000000002";

    fn read(message: &str) -> Option<(String, String, String)> {
        let child = Failure::new(Failure::CHILD, message).child()?;
        Some((child.run_id.to_string(), child.kind, child.message))
    }

    #[test]
    fn the_run_the_kind_and_the_message_are_read_also_behind_context() {
        let message = format!("run {RUN} failed (sold-out): none (0): left");
        let expected = Some((RUN.to_owned(), "sold-out".to_owned(), "none (0): left".to_owned()));
        assert_eq!(read(&message), expected);
        assert_eq!(read(&format!("the run failed (twice): a run of ships: {message}")), expected);
    }

    #[test]
    fn the_failure_of_a_childs_child_is_the_message_of_the_child() {
        let inner = format!("run {OTHER} failed (error): no");
        let expected = Some((RUN.to_owned(), "child".to_owned(), inner.clone()));
        assert_eq!(read(&format!("run {RUN} failed (child): {inner}")), expected);
    }

    #[test]
    fn other_failures_have_no_child() {
        for message in ["", "run ", "run 7 failed (error): no", &format!("run {RUN} failed"), "run é"] {
            assert_eq!(read(message), None, "{message}");
        }
        assert_eq!(Failure::new("error", format!("run {RUN} failed (error): no")).child(), None);
    }
}
