//! Small mistakes put into a module, to see whether the tests notice them.

use crate::device::report;
use crate::syntax::{Function, Instruction, Module, Operand, Statement, type_bytes};

/// One mistake.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// Line of the text.
    pub line: u32,
    /// The kernel or function.
    pub function: String,
    /// The instruction as it is.
    pub before: String,
    /// As it becomes; nothing if it is left out.
    pub after: Option<String>,
    place: [usize; 2],
    replacement: Option<Instruction>,
}

/// All mistakes that can be made in a module.
pub fn mutations(module: &Module) -> Vec<Mutation> {
    let mut out = Vec::new();
    for (number, function) in module.functions.iter().enumerate() {
        for (index, statement) in function.body.iter().flatten().enumerate() {
            let Statement::Instruction(instruction) = statement else { continue };
            for replacement in variants(instruction) {
                out.push(Mutation {
                    line: instruction.line,
                    function: function.name.clone(),
                    before: instruction.to_string(),
                    after: replacement.as_ref().map(ToString::to_string),
                    place: [number, index],
                    replacement,
                });
            }
        }
    }
    out
}

/// Makes one mistake.
pub fn apply(module: &mut Module, mutation: &Mutation) {
    let [number, index] = mutation.place;
    let body =
        module.functions.get_mut(number).and_then(|function: &mut Function| function.body.as_mut());
    let Some(statement) = body.and_then(|body| body.get_mut(index)) else { return };
    *statement = match &mutation.replacement {
        Some(instruction) => Statement::Instruction(instruction.clone()),
        // A scope of nothing would need two statements; a label that nobody names needs one.
        None => Statement::Label(format!("$removed_{index}")),
    };
}

/// What the variable `PTX_MUTATE` asks for: `count`, `list`, or a number from 0.
pub(crate) fn command(module: &mut Module, text: &str) {
    let all = mutations(module);
    match text {
        "count" => report(&format!("{} mutations", all.len())),
        "list" => {
            for (number, mutation) in all.iter().enumerate() {
                report(&format!("mutation {number}: {}", describe(mutation)));
            }
        }
        _ => match text.parse::<usize>().ok().and_then(|number| all.get(number)) {
            Some(mutation) => {
                report(&format!("mutation {text}: {}", describe(mutation)));
                apply(module, mutation);
            }
            None => {
                report(&format!("PTX_MUTATE={text}: there are {} mutations", all.len()));
                std::process::abort();
            }
        },
    }
}

/// One line for a list.
pub fn describe(mutation: &Mutation) -> String {
    let Mutation { line, function, before, after, .. } = mutation;
    match after {
        Some(after) => format!("{function}, line {line}: {before} -> {after}"),
        None => format!("{function}, line {line}: {before} -> nothing"),
    }
}

/// All mistakes for one instruction.
fn variants(instruction: &Instruction) -> Vec<Option<Instruction>> {
    let opcode: Vec<&str> = instruction.opcode.iter().map(String::as_str).collect();
    let mut out = Vec::new();
    let mut change = |edit: &dyn Fn(&mut Instruction)| {
        let mut changed = instruction.clone();
        edit(&mut changed);
        if changed != *instruction {
            out.push(Some(changed));
        }
    };
    let part = |index: usize, text: &'static str| {
        move |changed: &mut Instruction| changed.opcode[index] = text.to_owned()
    };
    match opcode.as_slice() {
        ["add", ..] => change(&part(0, "sub")),
        ["sub", ..] => change(&part(0, "add")),
        ["and", ..] => change(&part(0, "or")),
        ["or", ..] => change(&part(0, "and")),
        ["mul", "hi", ..] => change(&part(1, "lo")),
        ["setp", comparison, ..] => {
            if let Some(other) = flipped(comparison) {
                change(&|changed| changed.opcode[1] = other.to_owned());
            }
        }
        ["atom" | "red", ..] => {
            if let Some(index) = opcode.iter().position(|part| *part == "or") {
                change(&part(index, "and"));
            }
        }
        _ => {}
    }
    // Equality does not care for the order.
    let symmetric =
        matches!(opcode.as_slice(), ["setp", "eq" | "ne" | "equ" | "neu" | "num" | "nan", ..]);
    if matches!(opcode[0], "sub" | "setp" | "selp") && !symmetric {
        change(&|changed| {
            if changed.operands.len() > 2 {
                changed.operands.swap(1, 2);
            }
        });
    }
    if let Some((_, negated)) = instruction.guard {
        change(&|changed| {
            if let Some(guard) = &mut changed.guard {
                guard.1 = !negated;
            }
        });
    }
    if !matches!(opcode[0], "ld" | "st" | "bar" | "barrier" | "call" | "bra") {
        // The first operand is the result. Of a shift this is a shift by one more.
        for index in 1..instruction.operands.len() {
            if let Operand::Integer(value) = instruction.operands[index] {
                change(&|changed| {
                    changed.operands[index] = Operand::Integer(value.wrapping_add(1));
                });
            }
        }
    }
    if let ["st", .., t] = opcode.as_slice()
        && !opcode.contains(&"param")
    {
        if type_bytes(t).is_some_and(|bytes| bytes > 1) {
            change(&|changed| {
                if let Some(Operand::Address(_, offset)) = changed.operands.first_mut() {
                    *offset += 1;
                }
            });
        }
        out.push(None);
    }
    if matches!(opcode.as_slice(), ["bar" | "barrier", "sync", ..]) {
        out.push(None);
    }
    out
}

/// A comparison that differs at the boundary.
fn flipped(comparison: &str) -> Option<&'static str> {
    Some(match comparison {
        "lt" => "le",
        "le" => "lt",
        "gt" => "ge",
        "ge" => "gt",
        "eq" => "ne",
        "ne" => "eq",
        "ltu" => "leu",
        "leu" => "ltu",
        "gtu" => "geu",
        "geu" => "gtu",
        "equ" => "neu",
        "neu" => "equ",
        "num" => "nan",
        "nan" => "num",
        _ => return None,
    })
}
