//! Bounds the work of compiling an upload.
//!
//! A megabyte of ordinary code compiles in a second or two, and a megabyte of jumps in minutes. So the bound is on an estimate
//! of the time, by what it depends on: operators, branches, branches with many locals, branches of one function squared, and
//! branches to one place squared. The estimate is the same on every machine.
//!
//! It is above the time that most kinds of functions take on one core of a current server, and not above that of all: what takes
//! longer reaches the limit on the compiler's CPU time. Decision 26 has figures.

use std::time::Duration;

use wasmparser::{CompositeInnerType, FunctionBody, Operator, Parser, Payload};

use super::InvalidComponent;

/// The maximum of the estimate. Other uploads of the host wait meanwhile.
const MOST: Duration = Duration::from_secs(10);

/// The time for a function without content.
const FUNCTION: u64 = 60_000;

/// The time for an operator. Moves of locals take less, and accesses of memory more.
const OPERATOR: u64 = 3_000;

/// The time for a branch: a block of the compiler's.
const BRANCH: u64 = 25_000;

/// The time for a local at a branch: the compiler decides where each value lives in each block.
const LOCAL_AT_BRANCH: u64 = 1_500;

/// The time for a branch and another branch of the same function.
const TWO_BRANCHES: u64 = 70;

/// The time for a branch and another branch to the same place: their values of each local meet there.
const SAME_TARGET: u64 = 350;

/// The work of one function.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    /// The number of the function in the component.
    function: u64,
    operators: u64,
    branches: u64,
    /// The branches to each place, squared, in total.
    same_target: u64,
    /// The locals, parameters included.
    locals: u64,
}

impl Work {
    fn read(function: u64, body: &FunctionBody<'_>, parameters: u64) -> Result<Self, InvalidComponent> {
        let mut work = Self { function, locals: parameters, ..Self::default() };
        for group in body.get_locals_reader()? {
            let (count, _) = group?;
            work.locals = work.locals.saturating_add(u64::from(count));
        }
        // The branches to the end of each open block, the outermost first.
        let mut open = vec![0_u64];
        for operator in body.get_operators_reader()? {
            let operator = operator?;
            work.operators += 1;
            work.branches = work.branches.saturating_add(branches(&operator));
            let mut branch_to = |depth: u32| {
                let place = open.len().checked_sub(1 + depth as usize).and_then(|place| open.get_mut(place));
                // Without such a block, the component is invalid, which the compiler reports.
                if let Some(count) = place {
                    *count += 1;
                }
            };
            match &operator {
                Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                    branch_to(*relative_depth)
                }
                Operator::BrTable { targets } => {
                    branch_to(targets.default());
                    for target in targets.targets() {
                        branch_to(target?);
                    }
                }
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => open.push(0),
                Operator::End => {
                    let count = open.pop().unwrap_or_default();
                    work.same_target = work.same_target.saturating_add(count.saturating_mul(count));
                }
                _ => {}
            }
        }
        Ok(work)
    }

    /// Returns the estimate of the time to compile the function.
    fn time(self) -> Duration {
        let Self { operators, branches, same_target, locals, .. } = self;
        let at_branch = BRANCH.saturating_add(LOCAL_AT_BRANCH.saturating_mul(locals));
        let nanoseconds = FUNCTION
            .saturating_add(OPERATOR.saturating_mul(operators))
            .saturating_add(at_branch.saturating_mul(branches))
            .saturating_add(TWO_BRANCHES.saturating_mul(branches).saturating_mul(branches))
            .saturating_add(SAME_TARGET.saturating_mul(same_target));
        Duration::from_nanos(nanoseconds)
    }
}

/// Returns how many branches an operator is to the compiler: also a check that is followed by a call of the host.
fn branches(operator: &Operator<'_>) -> u64 {
    match operator {
        Operator::BrTable { targets } => u64::from(targets.len()).saturating_add(1),
        Operator::Loop { .. }
        | Operator::If { .. }
        | Operator::BrIf { .. }
        | Operator::CallIndirect { .. }
        | Operator::ReturnCallIndirect { .. }
        | Operator::MemoryGrow { .. }
        | Operator::MemoryInit { .. }
        | Operator::MemoryCopy { .. }
        | Operator::MemoryFill { .. }
        | Operator::TableGet { .. }
        | Operator::TableSet { .. }
        | Operator::TableGrow { .. }
        | Operator::TableInit { .. }
        | Operator::TableCopy { .. }
        | Operator::TableFill { .. } => 1,
        _ => 0,
    }
}

/// Checks that the estimated time to compile a component is bounded.
///
/// # Errors
/// [`InvalidComponent`] that names the function that takes longest.
pub fn check_work(bytes: &[u8]) -> Result<(), InvalidComponent> {
    let (mut all, mut largest, mut functions) = (Duration::ZERO, Work::default(), 0);
    // The most that any function can have: which has how many matters little.
    let mut parameters = 0;
    for part in Parser::new(0).parse_all(bytes) {
        match part? {
            Payload::TypeSection(types) => {
                for group in types {
                    for ty in group?.types() {
                        if let CompositeInnerType::Func(function) = &ty.composite_type.inner {
                            parameters = parameters.max(function.params().len() as u64);
                        }
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                functions += 1;
                let work = Work::read(functions, &body, parameters)?;
                all = all.saturating_add(work.time());
                if work.time() > largest.time() {
                    largest = work;
                }
            }
            _ => {}
        }
    }
    if all <= MOST {
        return Ok(());
    }
    let Work { function, branches, locals, .. } = largest;
    Err(InvalidComponent(format!(
        "compiling the component takes too long: {:.1} s by estimate, and the most is {} s. Its function {function} takes \
         longest, {:.1} s, with {branches} branches and {locals} locals: make its largest functions smaller, remove unused \
         code, or split it into several components",
        all.as_secs_f64(),
        MOST.as_secs(),
        largest.time().as_secs_f64(),
    )))
}
