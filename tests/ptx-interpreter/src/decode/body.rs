//! Names, places, labels and control flow of one function.

use std::collections::{BTreeSet, HashMap};

use super::special::special;
use super::{Area, Decoded, FRAME, GAP, Known};
use crate::integer::bits;
use crate::program::{Call, Function, NONE, Op, Refusal, Slot};
use crate::syntax::{Function as Source, Instruction, Operand, Statement, Variable};

/// What a name inside a function means.
#[derive(Clone, Debug)]
enum Symbol {
    Register { slot: Slot, bits: u8 },
    Variable { space: String, address: u64 },
}

/// The state of decoding one function.
pub(super) struct Body<'a> {
    pub(super) function: Function,
    scopes: Vec<HashMap<String, Symbol>>,
    known: &'a HashMap<String, Known>,
    bodies: &'a [&'a Source],
    numbers: &'a HashMap<&'a str, usize>,
    constants: HashMap<u64, Slot>,
    specials: HashMap<String, Slot>,
    labels: HashMap<String, u32>,
    targets: HashMap<String, Vec<String>>,
    jumps: Vec<(usize, String, u32)>,
    tables: Vec<(u32, String, u32)>,
    uses: BTreeSet<String>,
    own: BTreeSet<[usize; 3]>,
    dynamic: HashMap<String, Slot>,
    /// The line at hand.
    pub(super) line: u32,
    carry: Slot,
}

impl<'a> Body<'a> {
    pub(super) fn decode(
        source: &'a Source,
        bodies: &'a [&'a Source],
        numbers: &'a HashMap<&'a str, usize>,
        known: &'a HashMap<String, Known>,
        shared: &mut Area,
    ) -> Result<Decoded, Refusal> {
        let mut body = Self {
            function: Function {
                name: source.name.clone(),
                entry: source.entry,
                max_threads: source.max_threads,
                required_threads: source.required_threads,
                ..Function::default()
            },
            scopes: vec![HashMap::new()],
            known,
            bodies,
            numbers,
            constants: HashMap::new(),
            specials: HashMap::new(),
            labels: HashMap::new(),
            targets: HashMap::new(),
            jumps: Vec::new(),
            tables: Vec::new(),
            uses: BTreeSet::new(),
            own: BTreeSet::new(),
            dynamic: HashMap::new(),
            line: source.line,
            carry: NONE,
        };
        body.parameters(source)?;
        for statement in source.body.iter().flatten() {
            body.statement(statement, shared)?;
        }
        body.op(if source.entry { Op::Exit } else { Op::Return });
        body.resolve()?;
        Ok(Decoded {
            function: body.function,
            uses: body.uses,
            own: body.own,
            dynamic: body.dynamic.into_values().collect(),
        })
    }

    fn parameters(&mut self, source: &Source) -> Result<(), Refusal> {
        if source.entry {
            let mut end = 0;
            for param in &source.params {
                end = usize::next_multiple_of(end, param.align as usize);
                self.function.params.push([end, param.bytes as usize]);
                if param.align >= 8 {
                    let words = (end..end + param.bytes as usize).step_by(8);
                    self.function.pointers.extend(words);
                }
                self.name(&param.name, param_symbol(end as u64))?;
                end += param.bytes as usize;
            }
            self.function.param_bytes = end;
            if end > 4096 {
                return self.refuse(format!("{end} bytes of parameters, at most 4096 are allowed"));
            }
        } else {
            for param in &source.returns {
                let at = self.frame_variable(param)?;
                self.function.returns.push([at, param.bytes as usize]);
            }
            for param in &source.params {
                let at = self.frame_variable(param)?;
                self.function.params.push([at, param.bytes as usize]);
            }
        }
        Ok(())
    }

    fn frame_variable(&mut self, variable: &Variable) -> Result<usize, Refusal> {
        let at = self.function.frame_bytes.next_multiple_of(variable.align.max(8) as usize);
        self.function.frame_bytes = at + (variable.bytes as usize).next_multiple_of(8);
        self.name(&variable.name, param_symbol(FRAME + at as u64))?;
        Ok(at)
    }

    pub(super) fn refuse<T>(&self, what: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(self.line, what))
    }

    fn name(&mut self, name: &str, symbol: Symbol) -> Result<(), Refusal> {
        let scope = self.scopes.last_mut().expect("one scope is always open");
        if scope.insert(name.to_owned(), symbol).is_some() {
            return self.refuse(format!("`{name}` is declared twice"));
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Symbol> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// A new place with a value at start.
    pub(super) fn place(&mut self, value: u64) -> Result<Slot, Refusal> {
        let slot = self.function.image.len();
        if slot >= usize::from(NONE) {
            return self.refuse("too many registers");
        }
        self.function.image.push(value);
        Ok(slot as Slot)
    }

    pub(super) fn constant(&mut self, value: u64) -> Result<Slot, Refusal> {
        if let Some(&slot) = self.constants.get(&value) {
            return Ok(slot);
        }
        let slot = self.place(value)?;
        self.constants.insert(value, slot);
        Ok(slot)
    }

    /// The place of the carry flag.
    pub(super) fn carry(&mut self) -> Result<Slot, Refusal> {
        if self.carry == NONE {
            self.carry = self.place(0)?;
        }
        Ok(self.carry)
    }

    /// Appends a step.
    pub(super) fn op(&mut self, op: Op) {
        self.function.code.push(op);
        self.function.lines.push(self.line);
    }

    fn declare(&mut self, class: &str, name: &str) -> Result<(), Refusal> {
        let Some(bits) = bits(class).filter(|&bits| bits != 8) else {
            return self.refuse(format!("registers of type `{class}` are not supported"));
        };
        let slot = self.place(0)?;
        self.function.registers += 1;
        self.name(name, Symbol::Register { slot, bits })
    }

    fn statement(&mut self, statement: &Statement, shared: &mut Area) -> Result<(), Refusal> {
        match statement {
            Statement::Open => self.scopes.push(HashMap::new()),
            Statement::Close => {
                self.scopes.pop();
            }
            Statement::Label(name) => {
                let at = self.function.code.len() as u32;
                if self.labels.insert(name.clone(), at).is_some() {
                    return self.refuse(format!("label `{name}` is there twice"));
                }
            }
            Statement::Targets(name, labels) => {
                self.targets.insert(name.clone(), labels.clone());
            }
            Statement::Registers(class, names) => {
                for name in names {
                    self.declare(class, name)?;
                }
            }
            Statement::RegisterRange(class, prefix, number) => {
                for index in 0..*number {
                    self.declare(class, &format!("{prefix}{index}"))?;
                }
            }
            Statement::Variable(variable) => self.variable(variable, shared)?,
            Statement::Instruction(instruction) => {
                self.line = instruction.line;
                self.guarded(instruction).map_err(|refusal| {
                    Refusal::new(refusal.line, format!("`{instruction}`: {}", refusal.what))
                })?;
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: &Variable, shared: &mut Area) -> Result<(), Refusal> {
        self.line = variable.line;
        if variable.values.is_some() || variable.dynamic {
            return self.refuse("a variable in a function has a length and no initial values");
        }
        let (align, bytes) = (variable.align as usize, variable.bytes as usize);
        let address = match variable.space.as_str() {
            "param" => return self.frame_variable(variable).map(|_| ()),
            "shared" => {
                let address = shared.place(align, bytes, GAP);
                self.own.insert([address, bytes, align]);
                address
            }
            _ => {
                // The frame begins at a multiple of 16, see `thread`.
                let at = self.function.local_bytes.next_multiple_of(align);
                self.function.local_bytes = (at + bytes).next_multiple_of(16);
                at
            }
        };
        let (space, address) = (variable.space.clone(), address as u64);
        self.name(&variable.name, Symbol::Variable { space, address })
    }

    /// A guard becomes a branch around the instruction, or the branch's own condition.
    fn guarded(&mut self, instruction: &Instruction) -> Result<(), Refusal> {
        let Some((name, negated)) = &instruction.guard else {
            return self.instruction(instruction);
        };
        let p = self.register(name, 1)?;
        if instruction.opcode[0] == "bra" {
            let label = self.label(&instruction.operands)?;
            return self.jump(Op::Branch { p, when: !negated, target: 0 }, label);
        }
        let at = self.function.code.len();
        self.op(Op::Branch { p, when: *negated, target: 0 });
        self.instruction(instruction)?;
        let target = self.function.code.len() as u32;
        self.function.code[at] = Op::Branch { p, when: *negated, target };
        Ok(())
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<(), Refusal> {
        let opcode: Vec<&str> = instruction.opcode.iter().map(String::as_str).collect();
        let operands = instruction.operands.as_slice();
        match (opcode.as_slice(), operands) {
            (["bra"] | ["bra", "uni"], _) => {
                let label = self.label(operands)?;
                self.jump(Op::Jump { target: 0 }, label)
            }
            (["brx", "idx"] | ["brx", "idx", "uni"], [index, Operand::Name(list)]) => {
                let index = self.value(index, 32)?;
                let table = self.tables.len() as u32;
                self.tables.push((table, list.clone(), self.line));
                self.op(Op::Indexed { index, table });
                Ok(())
            }
            (["ret"] | ["ret", "uni"], []) => {
                self.op(if self.function.entry { Op::Exit } else { Op::Return });
                Ok(())
            }
            (["exit"], []) => {
                self.op(Op::Exit);
                Ok(())
            }
            (["trap"], []) => {
                self.op(Op::Trap);
                Ok(())
            }
            (["call"] | ["call", "uni"], _) => self.call(operands),
            _ => {
                if self.memory(&opcode, operands)?
                    || self.warp(&opcode, operands)?
                    || self.simple(&opcode, operands)?
                {
                    return Ok(());
                }
                self.refuse("not supported")
            }
        }
    }

    fn label(&self, operands: &[Operand]) -> Result<String, Refusal> {
        match operands {
            [Operand::Name(label)] => Ok(label.clone()),
            _ => self.refuse("a label expected"),
        }
    }

    fn jump(&mut self, op: Op, label: String) -> Result<(), Refusal> {
        self.jumps.push((self.function.code.len(), label, self.line));
        self.op(op);
        Ok(())
    }

    fn resolve(&mut self) -> Result<(), Refusal> {
        let find = |label: &String, line: u32| {
            self.labels
                .get(label)
                .copied()
                .ok_or_else(|| Refusal::new(line, format!("no label `{label}`")))
        };
        for (at, label, line) in &self.jumps {
            let found = find(label, *line)?;
            match &mut self.function.code[*at] {
                Op::Branch { target, .. } | Op::Jump { target } => *target = found,
                _ => unreachable!("only branches are noted as jumps"),
            }
        }
        for (_, list, line) in &self.tables {
            let Some(labels) = self.targets.get(list) else {
                return Err(Refusal::new(*line, format!("no targets `{list}`")));
            };
            let table: Result<Vec<u32>, Refusal> =
                labels.iter().map(|label| find(label, *line)).collect();
            self.function.tables.push(table?);
        }
        Ok(())
    }

    fn call(&mut self, operands: &[Operand]) -> Result<(), Refusal> {
        let (results, name, arguments): (&[Operand], _, &[Operand]) = match operands {
            [Operand::List(results), Operand::Name(name), Operand::List(arguments)] => {
                (results, name, arguments)
            }
            [Operand::List(results), Operand::Name(name)] => (results, name, &[]),
            [Operand::Name(name), Operand::List(arguments)] => (&[], name, arguments),
            [Operand::Name(name)] => (&[], name, &[]),
            _ => return self.refuse("calls through pointers are not supported"),
        };
        let Some(&number) = self.numbers.get(name.as_str()) else {
            return self.refuse(format!("function `{name}` is not defined here"));
        };
        let callee = self.bodies[number];
        if callee.entry {
            return self.refuse("a kernel cannot be called");
        }
        // The same order as in `parameters`, for a function that may not be decoded yet.
        let mut at = 0;
        let mut layout = Vec::new();
        for variable in callee.returns.iter().chain(&callee.params) {
            at = usize::next_multiple_of(at, variable.align.max(8) as usize);
            layout.push([at, variable.bytes as usize]);
            at += (variable.bytes as usize).next_multiple_of(8);
        }
        let (theirs, parameters) = layout.split_at(callee.returns.len());
        if theirs.len() != results.len() || parameters.len() != arguments.len() {
            return self.refuse(format!("`{name}` has another number of parameters"));
        }
        let mut call = Call { function: number, arguments: Vec::new(), results: Vec::new() };
        for (operand, &[there, bytes]) in arguments.iter().zip(parameters) {
            call.arguments.push([self.frame_offset(operand)?, there, bytes]);
        }
        for (operand, &[there, bytes]) in results.iter().zip(theirs) {
            call.results.push([there, self.frame_offset(operand)?, bytes]);
        }
        self.op(Op::Call { call: self.function.calls.len() as u32 });
        self.function.calls.push(call);
        Ok(())
    }

    fn frame_offset(&self, operand: &Operand) -> Result<usize, Refusal> {
        if let Operand::Name(name) = operand
            && let Some(Symbol::Variable { space, address }) = self.find(name)
            && space == "param"
            && *address >= FRAME
        {
            return Ok((address - FRAME) as usize);
        }
        self.refuse("only parameter variables can be passed")
    }

    /// The place of a register of a width.
    pub(super) fn register(&self, name: &str, width: u8) -> Result<Slot, Refusal> {
        match self.wide(name)? {
            (slot, bits) if bits == width => Ok(slot),
            (_, bits) => self.refuse(format!("`{name}` has {bits} bits where {width} are needed")),
        }
    }

    /// The place of a register and its width.
    pub(super) fn wide(&self, name: &str) -> Result<(Slot, u8), Refusal> {
        match self.find(name) {
            Some(&Symbol::Register { slot, bits }) => Ok((slot, bits)),
            _ => self.refuse(format!("`{name}` is no register")),
        }
    }

    /// The place of an operand of a width.
    pub(super) fn value(&mut self, operand: &Operand, width: u8) -> Result<Slot, Refusal> {
        let mask = u64::MAX >> (64 - width);
        match operand {
            Operand::Integer(value) => {
                let least = -((mask >> 1) as i64) - 1;
                let fits = *value <= mask || (least..0).contains(&(*value as i64));
                if !fits {
                    return self.refuse(format!("{value} does not fit {width} bits"));
                }
                self.constant(value & mask)
            }
            Operand::Single(value) if width == 32 => self.constant((*value).into()),
            Operand::Double(value) if width == 64 => self.constant(*value),
            Operand::Name(name) => {
                if let Some(&Symbol::Register { slot, bits }) = self.find(name)
                    && bits == width
                {
                    return Ok(slot);
                }
                if let Some(special) = special(name)
                    && width == 32
                {
                    if let Some(&slot) = self.specials.get(name) {
                        return Ok(slot);
                    }
                    let slot = self.place(0)?;
                    self.specials.insert(name.clone(), slot);
                    self.function.specials.push((slot, special));
                    return Ok(slot);
                }
                if name == "WARP_SZ" {
                    return self.constant(32);
                }
                if width == 64 && (self.find(name).is_none() || self.is_variable(name)) {
                    return self.address_of(name).map(|(slot, _)| slot);
                }
                self.register(name, width)
            }
            _ => self.refuse(format!("an operand of {width} bits expected")),
        }
    }

    fn is_variable(&self, name: &str) -> bool {
        matches!(self.find(name), Some(Symbol::Variable { .. }))
    }

    /// The place of the address of a variable, and its space.
    pub(super) fn address_of(&mut self, name: &str) -> Result<(Slot, String), Refusal> {
        if let Some(Symbol::Variable { space, address }) = self.find(name).cloned() {
            // Local variables move with the frame, see `thread`.
            let address = if space == "local" { address + GAP as u64 } else { address };
            let slot =
                if space == "local" { self.place(address)? } else { self.constant(address)? };
            if space == "local" {
                self.function.locals.push(slot);
            }
            return Ok((slot, space));
        }
        let known = self.known;
        let Some(variable) = known.get(name) else {
            return self.refuse(format!("`{name}` is not known"));
        };
        let slot = if variable.dynamic {
            match self.dynamic.get(name) {
                Some(&slot) => slot,
                None => {
                    let slot = self.place(0)?;
                    self.dynamic.insert(name.to_owned(), slot);
                    slot
                }
            }
        } else {
            if variable.space == "shared" {
                self.uses.insert(name.to_owned());
            }
            self.constant(variable.address)?
        };
        Ok((slot, variable.space.clone()))
    }
}

fn param_symbol(address: u64) -> Symbol {
    Symbol::Variable { space: "param".to_owned(), address }
}
