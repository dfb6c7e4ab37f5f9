//! Random programs whose outcome does not depend on chance.
//!
//! A program does the same whenever it is interrupted and however long its calls take. So:
//! - of the blocks that run at once, at most one has steps to compensate: in which order the others
//!   complete is left to chance;
//! - a race is between a block that ends and others that never do;
//! - what ends the run (a failure that nobody observes, a panic) stands where nothing else runs.

use fastrand::Rng;
use program::{Block, Statement, block, effect, fail, fail_for_good, step};

/// Returns the seed of a test: `FORGE_SEED`, or a new one. It is printed, so that a failure can be repeated.
pub fn seed(test: &str) -> u64 {
    let seed = given_seed().unwrap_or_else(|| fastrand::u64(..));
    println!("{test}: FORGE_SEED={seed}");
    seed
}

/// Returns the seed in `FORGE_SEED`.
pub fn given_seed() -> Option<u64> {
    let seed = std::env::var("FORGE_SEED").ok()?;
    Some(seed.parse().expect("FORGE_SEED is a number"))
}

/// Returns the program of a seed.
pub fn program(seed: u64) -> Block {
    Generator { random: Rng::with_seed(seed), names: 0 }.program()
}

/// The maximum depth of nested blocks.
const MAX_DEPTH: u32 = 3;

/// A timer that does not end while the tests run, in milliseconds.
const NEVER: u64 = 3_600_000;

/// The key of the number in the tenant's store that all programs increment.
pub const COUNTER: &str = "counters/programs";

/// A step's timeout that is not reached, however often the host is killed, in milliseconds.
const AMPLE: u64 = 600_000;

struct Generator {
    random: Rng,
    names: u32,
}

/// The position of a statement.
#[derive(Clone, Copy)]
struct Place {
    depth: u32,
    /// Whether steps may have compensations.
    compensable: bool,
    /// Whether other blocks run at the same time.
    parallel: bool,
}

impl Place {
    fn inside(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

impl Generator {
    fn program(&mut self) -> Block {
        let place = Place { depth: 0, compensable: true, parallel: false };
        let mut body = Block::new();
        if self.chance(70) {
            body.push(self.step(place));
        }
        body.extend(self.block(place, 3, 7));
        match self.random.u32(0..100) {
            0..45 => {}
            45..80 => body.push(fail("this was to be expected")),
            80..90 => body.push(Statement::Panic("this was to be expected, too".to_owned())),
            90..95 => body.push(Statement::Compensate),
            _ => body.extend(block![Statement::Compensate, fail("it is all taken back")]),
        }
        body
    }

    fn block(&mut self, place: Place, least: usize, most: usize) -> Block {
        let count = self.random.usize(least..=most);
        (0..count).map(|_| self.statement(place)).collect()
    }

    fn statement(&mut self, place: Place) -> Statement {
        let deep = place.depth >= MAX_DEPTH;
        match self.random.u32(0..140) {
            100..110 => self.talk(),
            110..118 if !deep => self.relative(place),
            120..132 => Statement::Log(self.name("l")),
            // The last value of branches that run at once is left to chance.
            132.. if !place.parallel => Statement::Publish("progress".to_owned(), self.name("p").into()),
            118..120 => Statement::Increment(COUNTER.to_owned()),
            26..52 if !deep => self.step(place),
            52..60 if !deep => self.join(place),
            60..68 if !deep => self.race(place),
            68..73 if !deep => self.failing(place),
            73..77 if !deep && !place.parallel => self.manual(place),
            77..80 if !deep => self.repeat(place),
            80..84 => self.flaky(place),
            84..87 => self.timed_out(),
            87..92 => Statement::Draw,
            92..100 => self.sleep(),
            _ => effect(self.name("e")),
        }
    }

    fn step(&mut self, place: Place) -> Statement {
        let mut step = step(self.name("s"), self.block(place.inside(), 1, 3));
        if place.compensable && self.chance(65) {
            step = step.undo(self.undo());
        }
        if self.chance(20) {
            step = step.timeout(AMPLE);
        }
        if self.chance(15) {
            step = step.optional();
            if self.chance(50) {
                step.body.push(fail("this step fails"));
            }
        }
        step.into()
    }

    /// A handler.
    fn undo(&mut self) -> Block {
        let mut undo = block![effect(self.name("u"))];
        match self.random.u32(0..100) {
            0..15 => undo.push(self.sleep()),
            15..25 => undo.push(Statement::Draw),
            25..35 => undo.push(step(self.name("s"), block![effect(self.name("e"))]).into()),
            35..45 => undo.push(Statement::Flaky(self.name("f"), 1)),
            45..50 => undo.push(fail_for_good("this cannot be undone")),
            50..53 => undo.push(Statement::Panic("this handler panics".to_owned())),
            _ => undo.push(effect(self.name("u"))),
        }
        undo
    }

    fn join(&mut self, place: Place) -> Statement {
        let count = self.random.usize(2..=3);
        let chosen = self.random.usize(0..count);
        let blocks = (0..count).map(|number| {
            let compensable = place.compensable && number == chosen;
            self.block(Place { compensable, parallel: true, ..place.inside() }, 1, 3)
        });
        Statement::Join(blocks.collect())
    }

    fn race(&mut self, place: Place) -> Statement {
        let mut blocks = vec![self.block(Place { parallel: true, ..place.inside() }, 1, 3)];
        let losers = self.random.usize(1..=2);
        for _ in 0..losers {
            let loser = match self.random.u32(0..4) {
                0 => block![Statement::Never(None)],
                1 => block![Statement::Sleep(NEVER)],
                2 => block![step(self.name("s"), block![Statement::Never(None)])],
                _ => block![step(self.name("s"), block![Statement::Sleep(NEVER)]).timeout(AMPLE)],
            };
            let place = self.random.usize(0..=blocks.len());
            blocks.insert(place, loser);
        }
        Statement::Race(blocks)
    }

    /// Events that the run sends to itself: late, early, doubled, or never.
    fn talk(&mut self) -> Statement {
        let name = self.name("v");
        let send = |payload: u32, key: Option<&str>| {
            Statement::Send("self".to_owned(), name.clone(), payload.into(), key.map(str::to_owned))
        };
        let receive = || Statement::Event(name.clone(), None);
        let there = || Statement::EventsThatAreThere(name.clone());
        match self.random.u32(0..5) {
            0 => Statement::Join(vec![block![receive()], block![self.sleep(), send(1, None)]]),
            1 => Statement::Repeat(1, block![send(1, None), self.sleep(), receive()]),
            2 => Statement::Repeat(
                1,
                block![send(1, Some("k")), send(2, Some("k")), send(3, None), receive(), there()],
            ),
            3 => Statement::Repeat(1, block![send(1, None), send(2, None), there()]),
            _ => Statement::Try(block![Statement::Event(name.clone(), Some(5))]),
        }
    }

    /// Runs that the run starts.
    fn relative(&mut self, place: Place) -> Statement {
        let inside = Place { depth: MAX_DEPTH - 1, compensable: true, parallel: false };
        let mut body = self.block(inside, 1, 3);
        match self.random.u32(0..6) {
            0 => Statement::Detach(body),
            1 => {
                body.push(fail("this child fails"));
                Statement::Try(block![Statement::Child(body)])
            }
            2 => {
                let waiting = block![self.sleep(), self.never()];
                Statement::Try(block![Statement::CancelChild(waiting, block![self.sleep()])])
            }
            3 => {
                body.push(self.never());
                Statement::DropChild(body, self.block(place.inside(), 1, 2))
            }
            4 => Statement::Children(self.random.u32(2..=3), block![effect(self.name("e"))]),
            _ => Statement::Child(body),
        }
    }

    /// An event that nobody sends.
    fn never(&mut self) -> Statement {
        Statement::Event(self.name("v"), None)
    }

    fn failing(&mut self, place: Place) -> Statement {
        let mut body = self.block(place.inside(), 1, 2);
        body.push(fail("this is observed"));
        Statement::Try(body)
    }

    fn manual(&mut self, place: Place) -> Statement {
        let mut body = block![effect(self.name("e")), self.sleep()];
        if self.chance(30) {
            body.push(Statement::Draw);
        }
        let manual = Statement::Manual(self.name("m"), body);
        if place.depth == 0 && self.chance(30) {
            let failing = Statement::Manual(self.name("m"), block![effect(self.name("e")), fail("by hand")]);
            return Statement::Repeat(1, block![manual, Statement::Try(block![failing])]);
        }
        manual
    }

    /// The same names again and again.
    fn repeat(&mut self, place: Place) -> Statement {
        let repeated = self.name("s");
        let body = block![
            step(&*repeated, self.block(Place { compensable: false, ..place.inside() }, 1, 1)),
            Statement::Lookup(repeated)
        ];
        Statement::Repeat(self.random.u32(2..=3), body)
    }

    /// A step that succeeds when it is tried again. What completed inside of it is compensated for
    /// every attempt.
    fn flaky(&mut self, place: Place) -> Statement {
        let times = self.random.u32(1..=2);
        let mut body = Block::new();
        if place.compensable && self.chance(30) {
            body.push(step(self.name("s"), block![effect(self.name("e"))]).undo(self.undo()).into());
        }
        body.push(Statement::Flaky(self.name("f"), times));
        step(self.name("s"), body).retry(times + 1, 5).into()
    }

    fn timed_out(&mut self) -> Statement {
        step(self.name("s"), block![Statement::Never(None)]).timeout(20).optional().into()
    }

    fn sleep(&mut self) -> Statement {
        Statement::Sleep(self.random.u64(5..=50))
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.random.u32(0..100) < percent
    }

    /// A name that the program has not used.
    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }
}
