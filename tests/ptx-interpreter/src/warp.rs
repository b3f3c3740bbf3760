//! Operations that threads of a warp do together: they wait for each other, then all get their
//! results at once.

use crate::execute::{Block, State};
use crate::memory::Problem;
use crate::program::{NONE, Program, Shuffle, Together, Vote, Warp};

/// Completes the operations in the warp of a thread that all members have reached.
pub(crate) fn resolve(program: &Program, block: &mut Block, number: usize) -> Result<(), Problem> {
    let first = number / 32 * 32;
    let last = (first + 32).min(block.threads.len());
    for thread in first..last {
        let State::Warp(operation) = block.states[thread] else { continue };
        let warp = program.functions[block.threads[thread].function].warps[operation as usize];
        let members = read(block, thread, warp.members) as u32;
        if members >> (thread - first) & 1 == 0 {
            return Err(Problem::failure("the thread is no member of its own mask"));
        }
        let all: Vec<usize> = (first..last)
            .filter(|lane| members >> (lane - first) & 1 == 1)
            .filter(|&lane| block.states[lane] != State::Exited)
            .collect();
        let place = |lane: usize| (block.threads[lane].function, block.threads[lane].pc);
        let arrived = all.iter().all(|&lane| {
            block.states[lane] == State::Warp(operation)
                && place(lane) == place(thread)
                && read(block, lane, warp.members) as u32 == members
        });
        if arrived {
            complete(block, &warp, first, &all)?;
            for lane in all {
                block.states[lane] = State::Ready;
                block.ready.push(lane);
            }
        }
    }
    Ok(())
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

fn complete(block: &mut Block, warp: &Warp, first: usize, all: &[usize]) -> Result<(), Problem> {
    let results: Result<Vec<[u64; 2]>, Problem> = match warp.what {
        Together::Sync => return Ok(()),
        Together::Shuffle(mode) => {
            all.iter().map(|&lane| shuffle(block, warp, mode, first, lane, all)).collect()
        }
        Together::Vote(vote) => {
            let values = || all.iter().map(|&lane| read(block, lane, warp.operands[0]));
            let result = match vote {
                Vote::All => values().all(|value| value == 1).into(),
                Vote::Any => values().any(|value| value == 1).into(),
                Vote::Uniform => {
                    (values().all(|value| value == 1) || values().all(|value| value == 0)).into()
                }
                Vote::Ballot => all
                    .iter()
                    .map(|&lane| read(block, lane, warp.operands[0]) << (lane - first))
                    .fold(0, |mask, bit| mask | bit),
            };
            Ok(vec![[result, 0]; all.len()])
        }
    };
    for (&lane, [value, predicate]) in all.iter().zip(results?) {
        write(block, lane, warp.d[0], value);
        write(block, lane, warp.d[1], predicate);
    }
    Ok(())
}

/// One lane's result, as the instruction set's pseudo code has it.
fn shuffle(
    block: &Block,
    warp: &Warp,
    mode: Shuffle,
    first: usize,
    thread: usize,
    all: &[usize],
) -> Result<[u64; 2], Problem> {
    let lane = (thread - first) as u32;
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
    let from = first + source as usize;
    if !all.contains(&from) {
        return Err(Problem::failure(format!("shfl from lane {source}, which takes no part")));
    }
    Ok([read(block, from, warp.operands[0]), inside.into()])
}
