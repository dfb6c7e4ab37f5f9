//! The limit on the memory of one instance.

use wasmtime::ResourceLimiter;

use forge_journal::{Failure, kind};

/// Limits the memory of one instance, summed over all its memories and tables. It records which limit was reached: the
/// host otherwise sees only a trap.
#[derive(Debug)]
pub(super) struct MemoryLimiter {
    max_bytes: usize,
    max_elements: usize,
    bytes: usize,
    elements: usize,
    /// The failure that names the limit that was reached.
    pub(super) hit: Option<Failure>,
}

impl MemoryLimiter {
    pub(super) fn new(max_bytes: usize, max_elements: usize) -> Self {
        Self { max_bytes, max_elements, bytes: 0, elements: 0, hit: None }
    }

    fn exceeded(&mut self, message: String) -> wasmtime::Error {
        let failure = Failure::permanent(kind::OUT_OF_MEMORY, message);
        let error = wasmtime::Error::msg(failure.message.clone());
        self.hit = Some(failure);
        error
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.bytes.saturating_add(desired.saturating_sub(current));
        if total > self.max_bytes {
            let (asked, most) = (total.div_ceil(1 << 20), self.max_bytes >> 20);
            return Err(self.exceeded(format!(
                "out of memory: the workflow asked for {asked} MiB; the most is {most} MiB (memory_bytes)"
            )));
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.elements.saturating_add(desired.saturating_sub(current));
        if total > self.max_elements {
            let most = self.max_elements;
            return Err(self.exceeded(format!(
                "out of memory: the workflow's tables asked for {total} elements; the most is {most} (table_elements)"
            )));
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.elements = total;
        Ok(true)
    }
}
