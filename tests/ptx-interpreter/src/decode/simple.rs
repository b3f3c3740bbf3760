//! Instructions that only compute: moves, arithmetic, comparisons, conversions.

use super::body::Body;
use crate::convert::{Conversion, conversion, integer};
use crate::integer::{bits, carry};
use crate::program::{Binary, Op, Refusal, Slot};
use crate::syntax::Operand;
use crate::{float, integer};

impl Body<'_> {
    /// Decodes one instruction; says whether it is one of these.
    pub(super) fn simple(
        &mut self,
        opcode: &[&str],
        operands: &[Operand],
    ) -> Result<bool, Refusal> {
        match opcode {
            ["mov", t] => self.mov(t, operands)?,
            ["setp" | "set", ..] => return self.comparison(opcode, operands),
            ["add" | "sub", "cc", t] => self.carry_chain(opcode[0], t, [false, true], operands)?,
            ["addc", t] => self.carry_chain("add", t, [true, false], operands)?,
            ["addc", "cc", t] => self.carry_chain("add", t, [true, true], operands)?,
            ["subc", t] => self.carry_chain("sub", t, [true, false], operands)?,
            ["subc", "cc", t] => self.carry_chain("sub", t, [true, true], operands)?,
            ["cvt", ..] => return self.conversion(opcode, operands),
            _ => return self.table(opcode, operands),
        }
        Ok(true)
    }

    /// Instructions that are one function of their operands.
    fn table(&mut self, opcode: &[&str], operands: &[Operand]) -> Result<bool, Refusal> {
        let Some((result, sources)) = operands.split_first() else { return Ok(false) };
        if let Some(typed) = integer::unary(opcode).or_else(|| float::unary(opcode)) {
            let [a] = self.sources(sources, typed.widths)?;
            let d = self.result(result, typed.d)?;
            self.op(Op::Unary { f: typed.f, d, a });
        } else if let Some(typed) = integer::binary(opcode).or_else(|| float::binary(opcode)) {
            let [a, b] = self.sources(sources, typed.widths)?;
            let d = self.result(result, typed.d)?;
            self.op(Op::Binary { f: typed.f, d, a, b });
        } else if let Some(typed) = integer::ternary(opcode).or_else(|| float::ternary(opcode)) {
            let [a, b, c] = self.sources(sources, typed.widths)?;
            let d = self.result(result, typed.d)?;
            self.op(Op::Ternary { f: typed.f, d, a, b, c });
        } else if let Some(typed) = integer::quaternary(opcode) {
            let s = self.sources(sources, typed.widths)?;
            let d = self.result(result, typed.d)?;
            self.op(Op::Quaternary { f: typed.f, d, s });
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn sources<const N: usize>(
        &mut self,
        operands: &[Operand],
        widths: [u8; 4],
    ) -> Result<[Slot; N], Refusal> {
        if operands.len() != N {
            return self.refuse(format!("{N} source operands expected"));
        }
        let mut slots = [0; N];
        for (index, slot) in slots.iter_mut().enumerate() {
            *slot = self.value(&operands[index], widths[index])?;
        }
        Ok(slots)
    }

    /// The register that takes a result.
    pub(super) fn result(&mut self, operand: &Operand, width: u8) -> Result<Slot, Refusal> {
        match operand {
            Operand::Name(name) if name == "_" => self.place(0),
            Operand::Name(name) => self.register(name, width),
            _ => self.refuse("a register expected"),
        }
    }

    fn mov(&mut self, t: &str, operands: &[Operand]) -> Result<(), Refusal> {
        let Some(width) = bits(t).filter(|&width| width != 8) else {
            return self.refuse(format!("`mov.{t}` is not supported"));
        };
        match operands {
            [Operand::Vector(parts), source] => {
                let a = self.value(source, width)?;
                self.unpack(parts, a, width)
            }
            [result, Operand::Vector(parts)] => self.pack(result, parts, width),
            [result, source] => {
                let a = self.value(source, width)?;
                let d = self.result(result, width)?;
                self.op(Op::Move { d, a });
                Ok(())
            }
            _ => self.refuse("two operands expected"),
        }
    }

    fn unpack(&mut self, parts: &[Operand], a: Slot, width: u8) -> Result<(), Refusal> {
        let part = self.part(parts, width)?;
        let count = self.constant(part.into())?;
        let shift: Binary = |a, b| a >> b;
        let cut: Binary = if part == 32 { |a, _| a & 0xffff_ffff } else { |a, _| a & 0xffff };
        // A copy, in case that the source is one of the results.
        let rest = self.place(0)?;
        self.op(Op::Move { d: rest, a });
        for operand in parts {
            let d = self.result(operand, part)?;
            self.op(Op::Binary { f: cut, d, a: rest, b: count });
            self.op(Op::Binary { f: shift, d: rest, a: rest, b: count });
        }
        Ok(())
    }

    fn pack(&mut self, result: &Operand, parts: &[Operand], width: u8) -> Result<(), Refusal> {
        let part = self.part(parts, width)?;
        let join: Binary = match part {
            32 => |a, b| a << 32 | b,
            _ => |a, b| a << 16 | b,
        };
        let (last, others) = parts.split_last().expect("`part` wants two or four");
        let last = self.value(last, part)?;
        let rest = self.place(0)?;
        self.op(Op::Move { d: rest, a: last });
        for operand in others.iter().rev() {
            let b = self.value(operand, part)?;
            self.op(Op::Binary { f: join, d: rest, a: rest, b });
        }
        let d = self.result(result, width)?;
        self.op(Op::Move { d, a: rest });
        Ok(())
    }

    fn part(&self, parts: &[Operand], width: u8) -> Result<u8, Refusal> {
        match (parts.len(), width) {
            (2, 64) => Ok(32),
            (4, 64) | (2, 32) => Ok(16),
            _ => self.refuse("parts of this width are not supported"),
        }
    }

    /// `setp` and `set`, with a second predicate or without.
    fn comparison(&mut self, opcode: &[&str], operands: &[Operand]) -> Result<bool, Refusal> {
        // setp.cmp[.bool].type p[|q], a, b[, [!]c]; set.cmp[.bool].dtype.stype d, a, b[, [!]c]
        let set = opcode[0] == "set";
        let (comparison, join, t, to) = match (set, &opcode[1..]) {
            (false, [comparison, t]) => (comparison, None, t, "pred"),
            (false, [comparison, join, t]) => (comparison, Some(*join), t, "pred"),
            (true, [comparison, to, t]) => (comparison, None, t, *to),
            (true, [comparison, join, to, t]) => (comparison, Some(*join), t, *to),
            _ => return Ok(false),
        };
        let key = ["setp", *comparison, *t];
        let Some(typed) = integer::binary(&key).or_else(|| float::binary(&key)) else {
            return Ok(false);
        };
        let f: Binary = match join {
            None | Some("and") => |a, b| a & b,
            Some("or") => |a, b| a | b,
            Some("xor") => |a, b| a ^ b,
            Some(_) => return Ok(false),
        };
        let expected = 3 + usize::from(join.is_some());
        if operands.len() != expected {
            return self.refuse(format!("{expected} operands expected"));
        }
        let [a, b] = self.sources(&operands[1..3], typed.widths)?;
        let other = match operands.get(3) {
            None => None,
            Some(Operand::Not(name)) => {
                let (a, d) = (self.register(name, 1)?, self.place(0)?);
                self.op(Op::Unary { f: |a| a ^ 1, d, a });
                Some(d)
            }
            Some(operand) => Some(self.value(operand, 1)?),
        };
        let truth = self.place(0)?;
        if let (Operand::Name(name), None, false) = (&operands[0], other, set) {
            let d = self.register(name, 1)?;
            self.op(Op::Binary { f: typed.f, d, a, b });
            return Ok(true);
        }
        self.op(Op::Binary { f: typed.f, d: truth, a, b });
        match &operands[0] {
            Operand::Pair(first, second) if !set => {
                let falsehood = self.place(0)?;
                self.op(Op::Unary { f: |a| a ^ 1, d: falsehood, a: truth });
                // Both are written at the end, since one may be the third operand.
                if let Some(b) = other {
                    self.op(Op::Binary { f, d: truth, a: truth, b });
                    self.op(Op::Binary { f, d: falsehood, a: falsehood, b });
                }
                for (name, a) in [(first, truth), (second, falsehood)] {
                    if name != "_" {
                        let d = self.register(name, 1)?;
                        self.op(Op::Move { d, a });
                    }
                }
            }
            result => {
                if let Some(b) = other {
                    self.op(Op::Binary { f, d: truth, a: truth, b });
                }
                let (width, f): (u8, fn(u64) -> u64) = match to {
                    "pred" => (1, |a| a),
                    "u32" | "s32" => (32, |a| a * 0xffff_ffff),
                    "f32" => (32, |a| a * 0x3f80_0000),
                    _ => return Ok(false),
                };
                let d = self.result(result, width)?;
                self.op(Op::Unary { f, d, a: truth });
            }
        }
        Ok(true)
    }

    fn carry_chain(
        &mut self,
        name: &str,
        t: &str,
        [takes, gives]: [bool; 2],
        operands: &[Operand],
    ) -> Result<(), Refusal> {
        let width = bits(t).filter(|_| integer(t, false).is_some());
        let functions = width.and_then(|width| carry(name, width));
        let (Some(width), Some([sum, carried]), [result, sources @ ..]) =
            (width, functions, operands)
        else {
            return self.refuse(format!("`{name}` with carry: type `{t}` is not supported"));
        };
        let [a, b] = self.sources(sources, [width; 4])?;
        let d = self.result(result, width)?;
        let flag = self.carry()?;
        let c = if takes { flag } else { self.constant(0)? };
        let next = self.place(0)?;
        self.op(Op::Ternary { f: carried, d: next, a, b, c });
        self.op(Op::Ternary { f: sum, d, a, b, c });
        if gives {
            self.op(Op::Move { d: flag, a: next });
        }
        Ok(())
    }

    fn conversion(&mut self, opcode: &[&str], operands: &[Operand]) -> Result<bool, Refusal> {
        let Some((conversion, to, from)) = conversion(opcode) else { return Ok(false) };
        let [Operand::Name(result), source] = operands else {
            return self.refuse("two operands expected");
        };
        let (Some(to_bits), Some(from_bits)) = (bits(to), bits(from)) else { return Ok(false) };
        let (d, register) = self.wide(result)?;
        let fits = if to.starts_with('f') { register == to_bits } else { register >= to_bits };
        if !fits {
            return self.refuse(format!("`{result}` has {register} bits"));
        }
        let a = match source {
            Operand::Name(name) if self.wide(name).is_ok() => {
                let (slot, register) = self.wide(name)?;
                let fits = if from.starts_with('f') {
                    register == from_bits
                } else {
                    register >= from_bits
                };
                if !fits {
                    return self.refuse(format!("`{name}` has {register} bits"));
                }
                slot
            }
            _ => self.value(source, from_bits)?,
        };
        match conversion {
            Conversion::Integer(from, to) => {
                self.op(Op::Convert { d, a, from, to, bits: register });
            }
            Conversion::Float(f) => {
                self.op(Op::Unary { f, d, a });
                if let Some(to) = integer(to, false)
                    && to.signed
                    && register > to.bits
                {
                    self.op(Op::Convert { d, a: d, from: to, to, bits: register });
                }
            }
        }
        Ok(true)
    }
}
