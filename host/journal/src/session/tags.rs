use super::{Session, SessionError};
use crate::{Event, InvalidTag, Timestamp};

impl Session {
    /// Sets a tag of the run, unless it was set before: a replay leaves the tags as they are. The outer error ends the
    /// session; the inner one is the answer to the guest, and the same in a replay.
    ///
    /// # Errors
    /// [`SessionError`] if the run cannot change now.
    pub fn tag(
        &mut self,
        name: &str,
        value: &str,
        now: Timestamp,
    ) -> Result<Result<(), InvalidTag>, SessionError> {
        if let Err(invalid) = self.journal.run().tags.check(name, value) {
            return Ok(Err(invalid));
        }
        if self.is_past_records() {
            let (name, value) = (name.to_owned(), value.to_owned());
            self.journal.apply(Event::Tagged { name, value }, now)?;
        }
        Ok(Ok(()))
    }
}
