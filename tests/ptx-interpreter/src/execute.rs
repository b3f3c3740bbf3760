//! Runs a launch: blocks in random order, the threads of a block interleaved in random order.

use std::fmt;

use crate::errors::LAUNCH_TIMEOUT;
use crate::memory::{Memory, Problem};
use crate::profile::Profile;
use crate::program::{Program, Special};
use crate::race::Moment;
use crate::random::Random;
use crate::store::Store;
use crate::thread::{Stop, Thread};
use crate::warp;

/// A launch.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The program.
    pub program: &'a Program,
    /// Number of the kernel.
    pub entry: usize,
    /// Blocks along each axis.
    pub grid: [u32; 3],
    /// Threads of a block along each axis.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub dynamic: u32,
    /// The parameters.
    pub params: &'a [u8],
    /// Seed of the order of threads and blocks.
    pub seed: u64,
    /// Most steps of all threads together.
    pub budget: u64,
    /// Whether to count more than steps.
    pub profile: bool,
}

/// A launch that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub problem: Problem,
    /// Where: kernel, block, thread, line.
    pub place: String,
    /// Line of the text, 0 if no single one is to blame.
    pub line: u32,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Barrier,
    Warp(u32),
    Exited,
}

/// The threads of the block at hand.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) threads: Vec<Thread>,
    pub(crate) states: Vec<State>,
    pub(crate) registers: Vec<u64>,
    pub(crate) ready: Vec<usize>,
}

/// Runs a launch; gives the number of steps, and what else was counted. `segment` is the first number for the race detector that
/// is free, and is moved on.
pub fn execute(
    launch: &Launch<'_>,
    memory: &mut Memory,
    segment: &mut u64,
) -> Result<(u64, Option<Profile>), Box<Fault>> {
    let kernel = &launch.program.functions[launch.entry];
    let count = launch.block.iter().map(|&size| size as usize).product();
    let store = Store::new(memory, kernel, launch.params, count, launch.dynamic as usize);
    let mut runner = Runner {
        launch,
        block: Block {
            threads: vec![Thread::default(); count],
            states: vec![State::Ready; count],
            registers: vec![0; count * kernel.stack_slots],
            ready: Vec::with_capacity(count),
        },
        store,
        random: Random::new(launch.seed),
        left: launch.budget,
        position: [0; 3],
    };
    runner.store.profile = launch.profile.then(Box::default);
    runner.store.now = Moment { launch: *segment, block: *segment, segment: *segment, thread: 0 };
    let result = runner.blocks();
    *segment = runner.store.now.segment + 1;
    result.map(|()| (launch.budget - runner.left, runner.store.profile.map(|profile| *profile)))
}

struct Runner<'a> {
    launch: &'a Launch<'a>,
    block: Block,
    store: Store<'a>,
    random: Random,
    left: u64,
    /// The block at hand.
    position: [u32; 3],
}

impl Runner<'_> {
    fn blocks(&mut self) -> Result<(), Box<Fault>> {
        let [x, y, z] = self.launch.grid.map(u64::from);
        let count = x * y * z;
        // i -> start + i * step mod count meets each block once if step and count have no divisor
        // in common.
        let start = self.random.below(count);
        let mut step = self.random.below(count) | 1;
        while divisor(step, count) != 1 {
            step += 2;
        }
        let step = u128::from(step);
        for index in 0..count {
            let at = ((u128::from(start) + u128::from(index) * step) % u128::from(count)) as u64;
            self.position = [at % x, at / x % y, at / x / y].map(|axis| axis as u32);
            self.store.now.block = self.store.now.segment;
            self.store.begin_block();
            self.run_block()?;
            if let Some(profile) = &mut self.store.profile {
                profile.end_block();
            }
            self.store.now.segment += 1;
        }
        Ok(())
    }

    fn run_block(&mut self) -> Result<(), Box<Fault>> {
        let kernel = &self.launch.program.functions[self.launch.entry];
        let count = self.block.threads.len();
        self.block.ready.clear();
        self.block.ready.extend(0..count);
        self.block.states.fill(State::Ready);
        for number in 0..count {
            let thread = &mut self.block.threads[number];
            thread.start(number, self.launch.entry, kernel);
            let start = self.store.local_start(number);
            let special = special(self.launch, self.position, number);
            thread.enter(kernel, &mut self.block.registers, start, special);
        }
        loop {
            while !self.block.ready.is_empty() {
                let pick = self.random.below(self.block.ready.len() as u64) as usize;
                let number = self.block.ready.swap_remove(pick);
                self.turn(number)?;
            }
            if !self.barrier()? {
                return Ok(());
            }
        }
    }

    /// Lets one thread run.
    fn turn(&mut self, number: usize) -> Result<(), Box<Fault>> {
        if self.left == 0 {
            let text = format!("more than {} steps: an endless loop?", self.launch.budget);
            return Err(self.fault(number, Problem { code: LAUNCH_TIMEOUT, text }));
        }
        let whole = (64 + self.random.below(4096)).min(self.left);
        let mut turn = whole;
        let special = special(self.launch, self.position, number);
        let result = self.block.threads[number].run(
            self.launch.program,
            &mut self.block.registers,
            &mut self.store,
            &mut self.random,
            &mut turn,
            &special,
        );
        self.left -= whole - turn;
        let stop = result.map_err(|problem| self.fault(number, problem))?;
        self.block.states[number] = match stop {
            Stop::Turn => {
                self.block.ready.push(number);
                State::Ready
            }
            Stop::Barrier => State::Barrier,
            Stop::Warp(operation) => State::Warp(operation),
            Stop::Exit => State::Exited,
        };
        if matches!(stop, Stop::Warp(_) | Stop::Exit) {
            warp::resolve(self.launch.program, &mut self.block, number)
                .map_err(|problem| self.fault(number, problem))?;
        }
        Ok(())
    }

    /// Nobody can run: opens the barrier if all wait there. False if all have ended.
    fn barrier(&mut self) -> Result<bool, Box<Fault>> {
        let find = |state| self.block.states.iter().position(|&other| other == state);
        let waits_for_warp =
            self.block.states.iter().position(|state| matches!(state, State::Warp(_)));
        if let Some(number) = waits_for_warp {
            let problem =
                Problem::failure("deadlock: a warp operation waits for threads that do not come");
            return Err(self.fault(number, problem));
        }
        let Some(first) = find(State::Barrier) else { return Ok(false) };
        if let Some(number) = find(State::Exited) {
            let text = format!("divergent barrier: thread {number} has ended before it");
            return Err(self.fault(first, Problem::failure(text)));
        }
        let place = |thread: &Thread| (thread.function, thread.pc);
        let threads = &self.block.threads;
        let expected = place(&threads[first]);
        if let Some(other) = threads.iter().find(|thread| place(thread) != expected) {
            let line = self.line(other.number);
            let text = format!(
                "divergent barrier: thread {} waits at another one, line {line}",
                other.number
            );
            return Err(self.fault(first, Problem::failure(text)));
        }
        self.store.now.segment += 1;
        if let Some(profile) = &mut self.store.profile {
            profile.barriers += 1;
        }
        self.block.states.fill(State::Ready);
        self.block.ready.extend(0..self.block.threads.len());
        Ok(true)
    }

    fn line(&self, number: usize) -> u32 {
        let thread = &self.block.threads[number];
        let lines = &self.launch.program.functions[thread.function].lines;
        lines.get(thread.pc.saturating_sub(1)).copied().unwrap_or(0)
    }

    #[cold]
    fn fault(&self, number: usize, problem: Problem) -> Box<Fault> {
        let kernel = &self.launch.program.functions[self.launch.entry].name;
        let (line, block) = (self.line(number), self.position);
        let thread = thread_position(self.launch.block, number);
        let place = format!("kernel {kernel}, block {block:?}, thread {thread:?}, PTX line {line}");
        Box::new(Fault { problem, place, line })
    }
}

fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

fn thread_position([x, y, _]: [u32; 3], number: usize) -> [u32; 3] {
    let number = number as u32;
    [number % x, number / x % y, number / x / y]
}

fn special(
    launch: &Launch<'_>,
    position: [u32; 3],
    number: usize,
) -> impl Fn(Special) -> u64 + use<> {
    let (grid, block, dynamic) = (launch.grid, launch.block, launch.dynamic);
    move |kind| {
        let lane = number as u32 % 32;
        let value = match kind {
            Special::Thread(axis) => thread_position(block, number)[usize::from(axis)],
            Special::Threads(axis) => block[usize::from(axis)],
            Special::Block(axis) => position[usize::from(axis)],
            Special::Blocks(axis) => grid[usize::from(axis)],
            Special::Lane => lane,
            Special::WarpNumber => number as u32 / 32,
            Special::LaneMask(f) => {
                (0..32).filter(|&other| f(other, lane)).fold(0, |mask, other| mask | 1 << other)
            }
            Special::DynamicShared => dynamic,
        };
        value.into()
    }
}
