//! Barriers and instructions that threads of a warp do together.

use super::body::Body;
use crate::program::{NONE, Op, Refusal, Shuffle, Slot, Together, Vote, Warp};
use crate::syntax::Operand;

impl Body<'_> {
    /// Decodes one instruction; says whether it is one of these.
    pub(super) fn warp(&mut self, opcode: &[&str], operands: &[Operand]) -> Result<bool, Refusal> {
        match opcode {
            ["bar" | "barrier", "sync"] | ["barrier", "sync", "aligned"] => {
                // One barrier for the whole block; the rest would need counts of its own.
                if operands != [Operand::Integer(0)] {
                    return self.refuse("only barrier 0 of the whole block is supported");
                }
                self.op(Op::Barrier);
            }
            ["bar", "warp", "sync"] => {
                let [members] = operands else { return self.refuse("one operand expected") };
                let members = self.value(members, 32)?;
                self.together(Together::Sync, [NONE; 2], [NONE; 3], members);
            }
            ["activemask", "b32"] => {
                // Threads are interleaved one by one, so only the own lane is sure to be active.
                let [result] = operands else { return self.refuse("one operand expected") };
                let d = self.result(result, 32)?;
                let a = self.value(&Operand::Name("%lanemask_eq".to_owned()), 32)?;
                self.op(Op::Move { d, a });
            }
            ["shfl", "sync", mode, "b32"] => return self.shuffle(mode, operands),
            ["vote", "sync", mode, t] => return self.vote(mode, t, operands),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn together(&mut self, what: Together, d: [Slot; 2], operands: [Slot; 3], members: Slot) {
        self.op(Op::Warp { warp: self.function.warps.len() as u32 });
        self.function.warps.push(Warp { what, d, operands, members });
    }

    fn shuffle(&mut self, mode: &str, operands: &[Operand]) -> Result<bool, Refusal> {
        let mode = match mode {
            "up" => Shuffle::Up,
            "down" => Shuffle::Down,
            "bfly" => Shuffle::Butterfly,
            "idx" => Shuffle::Index,
            _ => return Ok(false),
        };
        let [result, value, lane, clamp, members] = operands else {
            return self.refuse("five operands expected");
        };
        let d = match result {
            Operand::Pair(first, second) => [self.register(first, 32)?, self.register(second, 1)?],
            single => [self.result(single, 32)?, NONE],
        };
        let sources = [self.value(value, 32)?, self.value(lane, 32)?, self.value(clamp, 32)?];
        let members = self.value(members, 32)?;
        self.together(Together::Shuffle(mode), d, sources, members);
        Ok(true)
    }

    fn vote(&mut self, mode: &str, t: &str, operands: &[Operand]) -> Result<bool, Refusal> {
        let (mode, width) = match (mode, t) {
            ("all", "pred") => (Vote::All, 1),
            ("any", "pred") => (Vote::Any, 1),
            ("uni", "pred") => (Vote::Uniform, 1),
            ("ballot", "b32") => (Vote::Ballot, 32),
            _ => return Ok(false),
        };
        let [result, predicate, members] = operands else {
            return self.refuse("three operands expected");
        };
        let value = match predicate {
            Operand::Not(name) => {
                let (a, d) = (self.register(name, 1)?, self.place(0)?);
                self.op(Op::Unary { f: |a| a ^ 1, d, a });
                d
            }
            operand => self.value(operand, 1)?,
        };
        let d = [self.result(result, width)?, NONE];
        let members = self.value(members, 32)?;
        self.together(Together::Vote(mode), d, [value, NONE, NONE], members);
        Ok(true)
    }
}
