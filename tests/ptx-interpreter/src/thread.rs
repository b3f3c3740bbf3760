//! Runs one thread until it has to wait, ends, or another one gets its turn.

use crate::convert::convert;
use crate::decode::GAP;
use crate::memory::Problem;
use crate::program::{Access, Function, NONE, Op, Program};
use crate::race::Kind;
use crate::random::Random;
use crate::store::Store;

/// Why a thread stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its turn is over.
    Turn,
    /// It waits for the block.
    Barrier,
    /// It waits for threads of its warp; the number is that of the operation.
    Warp(u32),
    /// It ended.
    Exit,
}

/// A thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thread {
    /// Its number in the block.
    pub(crate) number: usize,
    pub(crate) function: usize,
    /// The step after the last one.
    pub(crate) pc: usize,
    /// Begin of its registers.
    pub(crate) registers: usize,
    /// Begin of its frame of parameters.
    pub(crate) frame: usize,
    /// Begin of its local memory.
    pub(crate) local: usize,
    callers: Vec<[usize; 5]>,
}

impl Thread {
    /// Makes it ready to run a kernel.
    pub(crate) fn start(&mut self, number: usize, entry: usize, function: &Function) {
        self.number = number;
        self.function = entry;
        self.pc = 0;
        self.registers = number * function.stack_slots;
        self.frame = number * function.stack_frames;
        self.local = number * function.stack_local;
        self.callers.clear();
    }

    /// Fills its registers; `special` gives what differs between threads.
    pub(crate) fn enter(
        &self,
        function: &Function,
        registers: &mut [u64],
        local_start: usize,
        special: impl Fn(crate::program::Special) -> u64,
    ) {
        let own = &mut registers[self.registers..][..function.image.len()];
        own.copy_from_slice(&function.image);
        for &(slot, kind) in &function.specials {
            own[usize::from(slot)] = special(kind);
        }
        for &slot in &function.locals {
            own[usize::from(slot)] += (self.local - local_start) as u64;
        }
    }

    /// Runs at most `turn` steps; counts them down.
    pub(crate) fn run(
        &mut self,
        program: &Program,
        registers: &mut [u64],
        store: &mut Store<'_>,
        random: &mut Random,
        turn: &mut u64,
        special: &dyn Fn(crate::program::Special) -> u64,
    ) -> Result<Stop, Problem> {
        loop {
            let function = &program.functions[self.function];
            let own = &mut registers[self.registers..][..function.image.len()];
            let end = self.steps(function, own, store, random, turn)?;
            match end {
                End::Stop(stop) => return Ok(stop),
                End::Call(index) => {
                    let call = &function.calls[index as usize];
                    let (frame, local) = (self.frame, self.local);
                    let start = [self.function, self.pc, self.registers, frame, local];
                    self.callers.push(start);
                    self.registers += function.image.len();
                    self.frame += function.frame_bytes;
                    self.local += function.local_bytes;
                    self.function = call.function;
                    self.pc = 0;
                    for &[here, there, bytes] in &call.arguments {
                        store.copy_frame(frame + here, self.frame + there, bytes);
                    }
                    let callee = &program.functions[self.function];
                    self.enter(callee, registers, store.local_start(self.number), special);
                }
                End::Return => {
                    let [caller, pc, base, frame, local] =
                        self.callers.pop().expect("a kernel exits instead");
                    let from = self.frame;
                    [self.function, self.pc] = [caller, pc];
                    [self.registers, self.frame, self.local] = [base, frame, local];
                    let function = &program.functions[caller];
                    let Op::Call { call } = function.code[pc - 1] else {
                        unreachable!("a caller stands behind its call")
                    };
                    for &[there, here, bytes] in &function.calls[call as usize].results {
                        store.copy_frame(from + there, frame + here, bytes);
                    }
                }
            }
        }
    }

    fn steps(
        &mut self,
        function: &Function,
        registers: &mut [u64],
        store: &mut Store<'_>,
        random: &mut Random,
        turn: &mut u64,
    ) -> Result<End, Problem> {
        macro_rules! r {
            ($slot:expr) => {
                registers[usize::from($slot)]
            };
        }
        let mut pc = self.pc;
        let mut left = *turn;
        let result = loop {
            if left == 0 {
                break Ok(End::Stop(Stop::Turn));
            }
            left -= 1;
            let op = function.code[pc];
            if let Some(profile) = &mut store.profile {
                profile.step(&function.lines, pc);
                let access = match op {
                    Op::Load { access } | Op::Store { access } => {
                        Some(&function.accesses[access as usize])
                    }
                    Op::Atomic { atomic } => Some(&function.atomics[atomic as usize].access),
                    _ => None,
                };
                if let Some(access) = access {
                    let address = r!(access.base).wrapping_add(access.offset as u64);
                    let bytes = usize::from(access.bytes) * usize::from(access.count);
                    profile.touch(self.number, pc as u32, access.space, address, bytes);
                }
            }
            pc += 1;
            match op {
                Op::Move { d, a } => r!(d) = r!(a),
                Op::Unary { f, d, a } => r!(d) = f(r!(a)),
                Op::Binary { f, d, a, b } => r!(d) = f(r!(a), r!(b)),
                Op::Ternary { f, d, a, b, c } => r!(d) = f(r!(a), r!(b), r!(c)),
                Op::Quaternary { f, d, s } => r!(d) = f(s.map(|slot| r!(slot))),
                Op::Convert { d, a, from, to, bits } => r!(d) = convert(r!(a), from, to, bits),
                Op::Branch { p, when, target } => {
                    if (r!(p) != 0) == when {
                        pc = target as usize;
                    }
                }
                Op::Jump { target } => pc = target as usize,
                Op::Load { access } => {
                    let access = &function.accesses[access as usize];
                    if let Err(problem) = self.load(access, registers, store) {
                        break Err(problem);
                    }
                }
                Op::Store { access } => {
                    let access = &function.accesses[access as usize];
                    if let Err(problem) = self.save(access, registers, store) {
                        break Err(problem);
                    }
                }
                Op::Atomic { atomic } => {
                    let atomic = &function.atomics[atomic as usize];
                    let address = r!(atomic.access.base).wrapping_add(atomic.access.offset as u64);
                    let width = usize::from(atomic.access.bytes);
                    let kind = Kind::StrongWrite;
                    match store.store(self, atomic.access.space, address, width, kind, true) {
                        Err(problem) => break Err(problem),
                        Ok((bytes, offset)) => {
                            let old = bytes.get(offset, width);
                            let [b, c] = atomic.operands.map(|slot| r!(slot));
                            bytes.set(offset, width, (atomic.f)(old, b, c));
                            if atomic.d != NONE {
                                r!(atomic.d) = old;
                            }
                        }
                    }
                    if random.one_in(4) {
                        break Ok(End::Stop(Stop::Turn));
                    }
                }
                Op::Fence => {}
                Op::Barrier => break Ok(End::Stop(Stop::Barrier)),
                Op::Warp { warp } => break Ok(End::Stop(Stop::Warp(warp))),
                Op::Call { call } => break Ok(End::Call(call)),
                Op::Return => break Ok(End::Return),
                Op::Exit => break Ok(End::Stop(Stop::Exit)),
                Op::Trap => break Err(Problem::failure("trap")),
                Op::Indexed { index, table } => {
                    let targets = &function.tables[table as usize];
                    match targets.get(r!(index) as usize) {
                        Some(&target) => pc = target as usize,
                        None => break Err(Problem::failure("brx.idx beyond its targets")),
                    }
                }
            }
        };
        self.pc = pc;
        *turn = left;
        result
    }

    #[inline]
    fn load(
        &self,
        access: &Access,
        registers: &mut [u64],
        store: &mut Store<'_>,
    ) -> Result<(), Problem> {
        let address = registers[usize::from(access.base)].wrapping_add(access.offset as u64);
        let (width, count) = (usize::from(access.bytes), usize::from(access.count));
        let kind = if access.strong { Kind::StrongRead } else { Kind::Read };
        let (bytes, offset) = store.load(self, access.space, address, width * count, kind)?;
        for (index, &slot) in access.registers[..count].iter().enumerate() {
            let mut value = bytes.get(offset + index * width, width);
            if access.signed {
                let spare = 64 - 8 * width as u32;
                value = ((value << spare) as i64 >> spare) as u64 & access.mask;
            }
            registers[usize::from(slot)] = value;
        }
        Ok(())
    }

    #[inline]
    fn save(
        &self,
        access: &Access,
        registers: &[u64],
        store: &mut Store<'_>,
    ) -> Result<(), Problem> {
        let address = registers[usize::from(access.base)].wrapping_add(access.offset as u64);
        let (width, count) = (usize::from(access.bytes), usize::from(access.count));
        let kind = if access.strong { Kind::StrongWrite } else { Kind::Write };
        let all = width * count;
        let (bytes, offset) = store.store(self, access.space, address, all, kind, false)?;
        for (index, &slot) in access.registers[..count].iter().enumerate() {
            bytes.set(offset + index * width, width, registers[usize::from(slot)]);
        }
        Ok(())
    }
}

enum End {
    Stop(Stop),
    Call(u32),
    Return,
}

/// Local addresses as a thread sees them begin here.
pub(crate) const LOCAL_START: u64 = GAP as u64;
