//! Loads, stores, atomic operations, fences and conversions of addresses.

use super::body::Body;
use crate::integer::bits;
use crate::program::{Access, Atomic, NONE, Op, Refusal, Slot, Space, Ternary};
use crate::syntax::Operand;

/// Bits that tell the windows of shared and local memory in the generic space.
pub(crate) const SHARED_WINDOW: u64 = 1 << 32;
/// See `SHARED_WINDOW`.
pub(crate) const LOCAL_WINDOW: u64 = 2 << 32;

impl Body<'_> {
    /// Decodes one instruction; says whether it is one of these.
    pub(super) fn memory(
        &mut self,
        opcode: &[&str],
        operands: &[Operand],
    ) -> Result<bool, Refusal> {
        match opcode {
            ["ld" | "ldu", modifiers @ .., t] => self.load(modifiers, t, operands),
            ["st", modifiers @ .., t] => self.store(modifiers, t, operands),
            ["atom", modifiers @ .., t] => self.atomic(modifiers, t, operands, true),
            ["red", modifiers @ .., t] => self.atomic(modifiers, t, operands, false),
            ["membar", "cta" | "gl" | "sys"] | ["fence", ..] => {
                if let ["fence", kind @ ..] = opcode
                    && !matches!(kind, ["sc" | "acq_rel", "cta" | "gpu" | "sys"])
                {
                    return Ok(false);
                }
                self.op(Op::Fence);
                Ok(true)
            }
            ["cvta", rest @ .., "u64"] => self.cvta(rest, operands),
            ["isspacep", space] => self.isspacep(space, operands),
            ["prefetch" | "prefetchu", ..] => Ok(false),
            _ => Ok(false),
        }
    }

    fn space(&self, name: &str) -> Option<Space> {
        Some(match name {
            "global" => Space::Global,
            "const" => Space::Const,
            "shared" => Space::Shared,
            "local" => Space::Local,
            "param" => Space::Param,
            _ => return None,
        })
    }

    /// Space, number of elements and strength from the modifiers of a load or store.
    fn modifiers(&self, modifiers: &[&str]) -> Option<(Space, u8, bool)> {
        let (mut space, mut count, mut strong) = (Space::Generic, 1, false);
        for modifier in modifiers {
            match *modifier {
                "v2" => count = 2,
                "v4" => count = 4,
                // Strong, that is ordered with other threads' atomic operations on the same bytes.
                "relaxed" | "acquire" | "release" => strong = true,
                // Scopes, and hints that change no value.
                "weak" | "cta" | "gpu" | "sys" | "nc" => {}
                // Orders nothing between threads that a kernel could rely on: races show.
                "volatile" => {}
                "ca" | "cg" | "cs" | "lu" | "cv" | "wb" | "wt" => {}
                other => space = self.space(other)?,
            }
        }
        Some((space, count, strong))
    }

    /// Base and offset of an address in a space.
    fn address(&mut self, operand: &Operand, space: Space) -> Result<(Slot, i64), Refusal> {
        match operand {
            Operand::Address(None, offset) => Ok((self.constant(0)?, *offset)),
            Operand::Address(Some(name), offset) => {
                if self.wide(name).is_ok() {
                    return Ok((self.register(name, 64)?, *offset));
                }
                let (slot, there) = self.address_of(name)?;
                if space != Space::Generic && self.space(&there) != Some(space) {
                    return self.refuse(format!("`{name}` lies in the {there} space"));
                }
                if space == Space::Generic && there != "global" && there != "const" {
                    return self.refuse(format!("`{name}` needs its space in the opcode"));
                }
                Ok((slot, *offset))
            }
            _ => self.refuse("an address expected"),
        }
    }

    fn access(
        &mut self,
        modifiers: &[&str],
        t: &str,
        address: &Operand,
        registers: &Operand,
    ) -> Result<Option<(Access, Vec<Operand>)>, Refusal> {
        let (Some((space, count, strong)), Some(width)) = (self.modifiers(modifiers), bits(t))
        else {
            return Ok(None);
        };
        if width < 8 || t == "f16" {
            return Ok(None);
        }
        let list = match registers {
            Operand::Vector(list) => list.clone(),
            single => vec![single.clone()],
        };
        if list.len() != usize::from(count) || u32::from(count) * u32::from(width) > 128 {
            return self.refuse("the number of registers does not fit the access");
        }
        let (base, offset) = self.address(address, space)?;
        let access = Access {
            space,
            bytes: width / 8,
            count,
            signed: t.starts_with('s'),
            strong,
            mask: u64::MAX,
            base,
            offset,
            registers: [NONE; 4],
        };
        Ok(Some((access, list)))
    }

    fn load(&mut self, modifiers: &[&str], t: &str, operands: &[Operand]) -> Result<bool, Refusal> {
        let [registers, address] = operands else { return self.refuse("two operands expected") };
        let found = self.access(modifiers, t, address, registers)?;
        let Some((mut access, list)) = found else { return Ok(false) };
        for (slot, operand) in access.registers.iter_mut().zip(&list) {
            if let Operand::Name(name) = operand
                && name == "_"
            {
                *slot = self.place(0)?;
                continue;
            }
            let Operand::Name(name) = operand else { return self.refuse("a register expected") };
            let (place, width) = self.wide(name)?;
            if width < access.bytes * 8 {
                return self.refuse(format!("`{name}` has only {width} bits"));
            }
            access.mask = u64::MAX >> (64 - width);
            *slot = place;
        }
        self.op(Op::Load { access: self.function.accesses.len() as u32 });
        self.function.accesses.push(access);
        Ok(true)
    }

    fn store(
        &mut self,
        modifiers: &[&str],
        t: &str,
        operands: &[Operand],
    ) -> Result<bool, Refusal> {
        let [address, registers] = operands else { return self.refuse("two operands expected") };
        let found = self.access(modifiers, t, address, registers)?;
        let Some((mut access, list)) = found else { return Ok(false) };
        if access.space == Space::Const {
            return self.refuse("constants cannot be written");
        }
        for (slot, operand) in access.registers.iter_mut().zip(&list) {
            *slot = match operand {
                Operand::Name(name) if self.wide(name).is_ok() => {
                    let (place, width) = self.wide(name)?;
                    if width < access.bytes * 8 {
                        return self.refuse(format!("`{name}` has only {width} bits"));
                    }
                    place
                }
                _ => self.value(operand, access.bytes * 8)?,
            };
        }
        self.op(Op::Store { access: self.function.accesses.len() as u32 });
        self.function.accesses.push(access);
        Ok(true)
    }

    fn atomic(
        &mut self,
        modifiers: &[&str],
        t: &str,
        operands: &[Operand],
        gives: bool,
    ) -> Result<bool, Refusal> {
        let (mut space, mut what) = (Space::Generic, None);
        for modifier in modifiers {
            match *modifier {
                "relaxed" | "acquire" | "release" | "acq_rel" | "cta" | "gpu" | "sys" => {}
                "global" => space = Space::Global,
                "shared" => space = Space::Shared,
                other if what.is_none() => what = Some(other),
                _ => return Ok(false),
            }
        }
        let Some((f, width)) = what.and_then(|what| atomic_function(what, t)) else {
            return Ok(false);
        };
        let (result, rest) = match operands {
            [result, rest @ ..] if gives => (Some(result), rest),
            rest => (None, rest),
        };
        let ([address, values @ ..], expected) = (rest, 1 + usize::from(what == Some("cas")))
        else {
            return self.refuse("an address expected");
        };
        if values.len() != expected {
            return self.refuse(format!("{expected} values expected"));
        }
        let (base, offset) = self.address(address, space)?;
        let d = match result {
            Some(operand) => self.result(operand, width)?,
            None => NONE,
        };
        let first = self.value(&values[0], width)?;
        let second = match values.get(1) {
            Some(operand) => self.value(operand, width)?,
            None => first,
        };
        let access = Access {
            space,
            bytes: width / 8,
            count: 1,
            signed: false,
            strong: true,
            mask: u64::MAX,
            base,
            offset,
            registers: [NONE; 4],
        };
        self.op(Op::Atomic { atomic: self.function.atomics.len() as u32 });
        self.function.atomics.push(Atomic { access, f, d, operands: [first, second] });
        Ok(true)
    }

    /// Shared and local memory have windows in the generic space; the rest lies there as it is.
    fn cvta(&mut self, rest: &[&str], operands: &[Operand]) -> Result<bool, Refusal> {
        let [result, source] = operands else { return self.refuse("two operands expected") };
        let a = self.value(source, 64)?;
        let d = self.result(result, 64)?;
        let op = match rest {
            ["to", "global" | "const"] | ["global" | "const"] => Op::Move { d, a },
            ["shared"] => Op::Unary { f: |a| a.wrapping_add(SHARED_WINDOW), d, a },
            ["local"] => Op::Unary { f: |a| a.wrapping_add(LOCAL_WINDOW), d, a },
            ["to", "shared"] => Op::Unary { f: |a| a.wrapping_sub(SHARED_WINDOW), d, a },
            ["to", "local"] => Op::Unary { f: |a| a.wrapping_sub(LOCAL_WINDOW), d, a },
            _ => return Ok(false),
        };
        self.op(op);
        Ok(true)
    }

    fn isspacep(&mut self, space: &str, operands: &[Operand]) -> Result<bool, Refusal> {
        let [result, source] = operands else { return self.refuse("two operands expected") };
        let f: fn(u64) -> u64 = match space {
            "shared" => |a| u64::from(a & !0xffff_ffff == SHARED_WINDOW),
            "local" => |a| u64::from(a & !0xffff_ffff == LOCAL_WINDOW),
            "global" => |a| u64::from(a >= crate::memory::FIRST),
            _ => return Ok(false),
        };
        let a = self.value(source, 64)?;
        let d = self.result(result, 1)?;
        self.op(Op::Unary { f, d, a });
        Ok(true)
    }
}

/// New value from the old one and the operands, and the width. Floats are refused: their sums depend
/// on the order of threads.
fn atomic_function(what: &str, t: &str) -> Option<(Ternary, u8)> {
    let f: Ternary = match (what, t) {
        ("add", "u32" | "s32") => |old, b, _| u64::from((old as u32).wrapping_add(b as u32)),
        ("add", "u64" | "s64") => |old, b, _| old.wrapping_add(b),
        ("and", "b32" | "b64") => |old, b, _| old & b,
        ("or", "b32" | "b64") => |old, b, _| old | b,
        ("xor", "b32" | "b64") => |old, b, _| old ^ b,
        ("exch", "b32" | "b64") => |_, b, _| b,
        ("cas", "b32" | "b64") => |old, b, c| if old == b { c } else { old },
        ("min", "u32" | "u64") => |old, b, _| old.min(b),
        ("max", "u32" | "u64") => |old, b, _| old.max(b),
        ("min", "s32") => |old, b, _| u64::from((old as i32).min(b as i32) as u32),
        ("max", "s32") => |old, b, _| u64::from((old as i32).max(b as i32) as u32),
        ("min", "s64") => |old, b, _| (old as i64).min(b as i64) as u64,
        ("max", "s64") => |old, b, _| (old as i64).max(b as i64) as u64,
        ("inc", "u32") => |old, b, _| if old >= b { 0 } else { old + 1 },
        ("dec", "u32") => |old, b, _| if old == 0 || old > b { b } else { old - 1 },
        _ => return None,
    };
    Some((f, bits(t)?))
}
