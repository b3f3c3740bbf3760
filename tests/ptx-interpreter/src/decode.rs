//! Makes a program of a read module: names become places, opcodes become functions. Whatever is not
//! known is refused here, before anything runs.

mod body;
mod memory;
pub(crate) use memory::{LOCAL_WINDOW, SHARED_WINDOW};
mod simple;
mod special;
mod warp;

use std::collections::{BTreeSet, HashMap};

use crate::program::{Function, Op, Program, Refusal};
use crate::syntax::{Function as Source, Module, Variable};
use body::Body;

/// Where the parameter variables of a frame begin in the parameter space; below are a kernel's own.
pub(crate) const FRAME: u64 = 1 << 20;
/// The first address of shared and of local memory; also the gap between shared variables.
pub(crate) const GAP: usize = 256;

/// Most bytes of static shared memory, and of static and dynamic together.
pub(crate) const SHARED_LIMIT: usize = 48 << 10;

/// Most bytes of local memory of a thread, and as much for the parameters of its calls.
const LOCAL_LIMIT: usize = 512 << 10;

/// How deep calls may be nested.
const CALL_DEPTH: usize = 256;

/// What a name outside a function means.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// `global`, `const`, `shared`.
    pub(crate) space: String,
    /// Its address.
    pub(crate) address: u64,
    /// Its length.
    pub(crate) bytes: usize,
    /// Its alignment.
    pub(crate) align: usize,
    /// Whether the launch says how long it is.
    pub(crate) dynamic: bool,
}

/// A growing area of variables with gaps between them.
#[derive(Clone, Debug)]
pub(crate) struct Area {
    /// First free address.
    pub(crate) end: usize,
    /// As a device counts it, without gaps.
    pub(crate) dense: usize,
}

impl Area {
    pub(crate) fn place(&mut self, align: usize, bytes: usize, gap: usize) -> usize {
        let at = self.end.next_multiple_of(align);
        self.end = at + bytes + gap;
        self.dense = self.dense.next_multiple_of(align) + bytes;
        at
    }
}

/// Decodes a module; `place` gives the addresses of global variables and constants.
pub fn decode(
    module: &Module,
    place: &mut dyn FnMut(&Variable) -> u64,
) -> Result<Program, Refusal> {
    let mut known = HashMap::new();
    let mut shared = Area { end: GAP, dense: 0 };
    for variable in &module.variables {
        let (align, bytes) = (variable.align as usize, variable.bytes as usize);
        let address = match variable.space.as_str() {
            "shared" if variable.values.is_some() => {
                return Err(Refusal::new(variable.line, "shared memory has no initial values"));
            }
            "shared" if variable.dynamic => 0,
            "shared" => shared.place(align, bytes, GAP) as u64,
            _ if variable.dynamic => {
                return Err(Refusal::new(variable.line, "a variable without length"));
            }
            _ => place(variable),
        };
        let entry = Known {
            space: variable.space.clone(),
            address,
            bytes,
            align,
            dynamic: variable.dynamic,
        };
        if known.insert(variable.name.clone(), entry).is_some() {
            return Err(Refusal::new(
                variable.line,
                format!("{} is declared twice", variable.name),
            ));
        }
    }
    let bodies: Vec<&Source> =
        module.functions.iter().filter(|function| function.body.is_some()).collect();
    let mut numbers = HashMap::new();
    for (number, function) in bodies.iter().enumerate() {
        if numbers.insert(function.name.as_str(), number).is_some() {
            return Err(Refusal::new(function.line, format!("{} is defined twice", function.name)));
        }
    }
    // Shared variables of device functions lie beside those of the module, since any kernel may
    // call them; those of a kernel lie behind.
    let mut functions: Vec<Option<Decoded>> = bodies.iter().map(|_| None).collect();
    for entry in [false, true] {
        for (number, source) in bodies.iter().enumerate() {
            if source.entry == entry {
                let mut own =
                    if entry { Area { end: shared.end, dense: 0 } } else { shared.clone() };
                let decoded = Body::decode(source, &bodies, &numbers, &known, &mut own)?;
                if !entry {
                    shared.end = own.end;
                }
                functions[number] = Some(decoded);
            }
        }
    }
    let functions: Vec<Decoded> = functions.into_iter().flatten().collect();
    link(functions, &bodies, &known)
}

/// A function and what it uses.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    pub(crate) function: Function,
    /// Shared variables of the module that it names.
    pub(crate) uses: BTreeSet<String>,
    /// Its own shared variables: address, bytes, alignment.
    pub(crate) own: BTreeSet<[usize; 3]>,
    /// Places that hold the address of dynamic shared memory.
    pub(crate) dynamic: Vec<u16>,
}

/// Adds up what a kernel needs together with all that it calls.
fn link(
    mut functions: Vec<Decoded>,
    bodies: &[&Source],
    known: &HashMap<String, Known>,
) -> Result<Program, Refusal> {
    let mut order = Vec::new();
    for number in 0..functions.len() {
        callees_first(number, &functions, bodies, &mut Vec::new(), &mut order)?;
    }
    for &number in &order {
        let (mut slots, mut frames, mut local) = (0, 0, 0);
        let (mut uses, mut own) = (BTreeSet::new(), BTreeSet::new());
        for call in &functions[number].function.calls {
            let callee = &functions[call.function];
            slots = slots.max(callee.function.stack_slots);
            frames = frames.max(callee.function.stack_frames);
            local = local.max(callee.function.stack_local);
            uses.extend(callee.uses.iter().cloned());
            own.extend(callee.own.iter().copied());
        }
        let decoded = &mut functions[number];
        decoded.uses.extend(uses);
        decoded.own.extend(own);
        let function = &mut decoded.function;
        function.stack_slots = function.image.len() + slots;
        function.stack_frames = function.frame_bytes + frames;
        function.stack_local = function.local_bytes + local;
        if function.stack_local.max(function.stack_frames) > LOCAL_LIMIT {
            let what = format!("more than {LOCAL_LIMIT} bytes of local memory or parameters");
            return Err(Refusal::new(bodies[number].line, what));
        }
        let mut shared: Vec<[usize; 3]> = decoded.own.iter().copied().collect();
        for name in &decoded.uses {
            let variable = &known[name];
            shared.push([variable.address as usize, variable.bytes, variable.align]);
        }
        shared.sort_unstable();
        shared.dedup();
        let mut area = Area { end: 0, dense: 0 };
        let mut end = GAP;
        for &[address, bytes, align] in &shared {
            area.place(align, bytes, 0);
            end = end.max(address + bytes + GAP);
        }
        function.shared_bytes = area.dense;
        if area.dense > SHARED_LIMIT {
            let what = format!("{} bytes of shared memory, at most {SHARED_LIMIT}", area.dense);
            return Err(Refusal::new(bodies[number].line, what));
        }
        function.shared = shared.iter().map(|&[address, bytes, _]| [address, bytes]).collect();
        function.dynamic_shared = end.next_multiple_of(GAP);
        for &slot in &decoded.dynamic {
            if !function.entry {
                let what = format!("{}: dynamic shared memory outside a kernel", function.name);
                return Err(Refusal::new(0, what));
            }
            function.image[slot as usize] = function.dynamic_shared as u64;
        }
    }
    Ok(Program { functions: functions.into_iter().map(|decoded| decoded.function).collect() })
}

fn callees_first(
    number: usize,
    functions: &[Decoded],
    bodies: &[&Source],
    path: &mut Vec<usize>,
    order: &mut Vec<usize>,
) -> Result<(), Refusal> {
    if order.contains(&number) {
        return Ok(());
    }
    if path.contains(&number) {
        return Err(Refusal::new(bodies[number].line, "recursion is not supported"));
    }
    if path.len() >= CALL_DEPTH {
        return Err(Refusal::new(bodies[number].line, "calls are nested too deep"));
    }
    path.push(number);
    for op in &functions[number].function.code {
        if let Op::Call { call } = *op {
            let callee = functions[number].function.calls[call as usize].function;
            callees_first(callee, functions, bodies, path, order)?;
        }
    }
    path.pop();
    order.push(number);
    Ok(())
}
