//! Operations that threads of a warp do together: they wait for each other, then all get their
//! results at once.

use crate::execute::{Block, State};
use crate::memory::Problem;
use crate::program::{NONE, Program, Shuffle, Together, Vote, Warp};

/// Completes the operation that a thread has come to, if it was the last of its members; if the thread
/// has ended, all operations of the warp that waited for nobody else.
pub(crate) fn resolve(program: &Program, block: &mut Block, number: usize) -> Result<(), Problem> {
    if block.states[number] != State::Exited {
        return resolve_one(program, block, number);
    }
    let first = number / 32 * 32;
    let last = (first + 32).min(block.threads.len());
    (first..last).try_for_each(|thread| resolve_one(program, block, thread))
}

fn resolve_one(program: &Program, block: &mut Block, thread: usize) -> Result<(), Problem> {
    let State::Warp(operation) = block.states[thread] else { return Ok(()) };
    let warp = program.functions[block.threads[thread].function].warps[operation as usize];
    let first = thread / 32 * 32;
    let count = (block.threads.len() - first).min(32);
    let members = read(block, thread, warp.members) as u32;
    if members >> (thread - first) & 1 == 0 {
        return Err(Problem::failure("the thread is no member of its own mask"));
    }
    let mut lanes = members & u32::MAX >> (32 - count);
    let place = |lane: usize| (block.threads[lane].function, block.threads[lane].pc);
    for lane in each(lanes) {
        let other = first + lane;
        if block.states[other] == State::Exited {
            lanes &= !(1 << lane);
        } else if block.states[other] != State::Warp(operation)
            || place(other) != place(thread)
            || read(block, other, warp.members) as u32 != members
        {
            return Ok(());
        }
    }
    complete(block, &warp, first, lanes)?;
    for lane in each(lanes) {
        block.states[first + lane] = State::Ready;
        block.ready.push(first + lane);
    }
    Ok(())
}

/// The numbers of the bits that are set.
fn each(mut lanes: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lane = (lanes != 0).then(|| lanes.trailing_zeros() as usize);
        lanes &= lanes.wrapping_sub(1);
        lane
    })
}

fn read(block: &Block, thread: usize, slot: u16) -> u64 {
    block.registers[block.threads[thread].registers + usize::from(slot)]
}

fn write(block: &mut Block, thread: usize, slot: u16, value: u64) {
    if slot != NONE {
        let at = block.threads[thread].registers + usize::from(slot);
        block.registers[at] = value;
    }
}

fn complete(block: &mut Block, warp: &Warp, first: usize, lanes: u32) -> Result<(), Problem> {
    let mut results = [[0; 2]; 32];
    match warp.what {
        Together::Sync => return Ok(()),
        Together::Shuffle(mode) => {
            for lane in each(lanes) {
                results[lane] = shuffle(block, warp, mode, first, lane as u32, lanes)?;
            }
        }
        Together::Vote(vote) => {
            let values = || each(lanes).map(|lane| read(block, first + lane, warp.operands[0]));
            let result = match vote {
                Vote::All => values().all(|value| value == 1).into(),
                Vote::Any => values().any(|value| value == 1).into(),
                Vote::Uniform => {
                    (values().all(|value| value == 1) || values().all(|value| value == 0)).into()
                }
                Vote::Ballot => each(lanes)
                    .map(|lane| read(block, first + lane, warp.operands[0]) << lane)
                    .fold(0, |mask, bit| mask | bit),
            };
            results.fill([result, 0]);
        }
    }
    for lane in each(lanes) {
        let [value, predicate] = results[lane];
        write(block, first + lane, warp.d[0], value);
        write(block, first + lane, warp.d[1], predicate);
    }
    Ok(())
}

/// One lane's result, as the instruction set's pseudo code has it.
fn shuffle(
    block: &Block,
    warp: &Warp,
    mode: Shuffle,
    first: usize,
    lane: u32,
    lanes: u32,
) -> Result<[u64; 2], Problem> {
    let thread = first + lane as usize;
    let by = read(block, thread, warp.operands[1]) as u32 & 31;
    let clamp = read(block, thread, warp.operands[2]) as u32;
    let segment = clamp >> 8 & 31;
    let most = lane & segment | clamp & 31 & !segment;
    let least = lane & segment;
    let (source, inside) = match mode {
        Shuffle::Up => (lane.wrapping_sub(by), lane as i32 - by as i32 >= most as i32),
        Shuffle::Down => (lane + by, lane + by <= most),
        Shuffle::Butterfly => (lane ^ by, (lane ^ by) <= most),
        Shuffle::Index => (least | by & !segment, (least | by & !segment) <= most),
    };
    let source = if inside { source } else { lane };
    if lanes >> source & 1 == 0 {
        return Err(Problem::failure(format!("shfl from lane {source}, which takes no part")));
    }
    Ok([read(block, first + source as usize, warp.operands[0]), inside.into()])
}
