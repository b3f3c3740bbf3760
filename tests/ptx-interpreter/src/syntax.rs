//! What PTX text consists of.

use std::fmt;

/// The text of a module, read.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// `.version`, major and minor.
    pub version: (u32, u32),
    /// `.target sm_..`.
    pub target: u32,
    /// Variables outside functions.
    pub variables: Vec<Variable>,
    /// Functions, kernels included.
    pub functions: Vec<Function>,
}

/// A variable, inside or outside a function, or a parameter.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// `global`, `const`, `shared`, `local`, `param`.
    pub space: String,
    /// Alignment in bytes.
    pub align: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// The first bytes, if given; the rest is zero.
    pub values: Option<Vec<u8>>,
    /// Whether the launch says how long it is.
    pub dynamic: bool,
    /// Line of the text.
    pub line: u32,
}

/// A function or a kernel.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether it is a kernel.
    pub entry: bool,
    /// What it returns.
    pub returns: Vec<Variable>,
    /// Its parameters.
    pub params: Vec<Variable>,
    /// Most threads in a block, if stated.
    pub max_threads: Option<u64>,
    /// The exact number of threads in a block, if stated.
    pub required_threads: Option<u64>,
    /// The statements; a mere declaration has none.
    pub body: Option<Vec<Statement>>,
    /// Line of the text.
    pub line: u32,
}

/// One statement of a body.
#[derive(Clone, Debug)]
pub enum Statement {
    /// `{`
    Open,
    /// `}`
    Close,
    /// `name:`
    Label(String),
    /// `name: .branchtargets ..`
    Targets(String, Vec<String>),
    /// `.reg .b32 %r<7>`: type, names.
    Registers(String, Vec<String>),
    /// `.reg .b32 %r<7>`: type, prefix, number.
    RegisterRange(String, String, u32),
    /// A shared, local or parameter variable.
    Variable(Variable),
    /// An instruction.
    Instruction(Instruction),
}

/// One instruction as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// Line of the text.
    pub line: u32,
    /// `@p` or `@!p`: the register, and whether it is negated.
    pub guard: Option<(String, bool)>,
    /// The opcode and its modifiers.
    pub opcode: Vec<String>,
    /// The operands.
    pub operands: Vec<Operand>,
}

/// One operand as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A register, a variable or a label.
    Name(String),
    /// `!p`
    Not(String),
    /// `p|q`
    Pair(String, String),
    /// An integer, two's complement.
    Integer(u64),
    /// The bits of a single.
    Single(u32),
    /// The bits of a double.
    Double(u64),
    /// `[base+offset]`; without a base the offset is the address.
    Address(Option<String>, i64),
    /// `{a, b}`
    Vector(Vec<Operand>),
    /// `(a, b)`, of a call.
    List(Vec<Operand>),
}

/// Bytes of a fundamental type, and whether it is one.
pub fn type_bytes(name: &str) -> Option<u64> {
    Some(match name {
        "b8" | "u8" | "s8" => 1,
        "b16" | "u16" | "s16" | "f16" => 2,
        "b32" | "u32" | "s32" | "f32" => 4,
        "b64" | "u64" | "s64" | "f64" => 8,
        _ => return None,
    })
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, negated)) = &self.guard {
            write!(f, "@{}{name} ", if *negated { "!" } else { "" })?;
        }
        write!(f, "{}", self.opcode.join("."))?;
        for (index, operand) in self.operands.iter().enumerate() {
            write!(f, "{} {operand}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[Self]| {
            items.iter().map(ToString::to_string).collect::<Vec<String>>().join(", ")
        };
        match self {
            Self::Name(name) => write!(f, "{name}"),
            Self::Not(name) => write!(f, "!{name}"),
            Self::Pair(first, second) => write!(f, "{first}|{second}"),
            Self::Integer(value) => write!(f, "{}", *value as i64),
            Self::Single(bits) => write!(f, "0f{bits:08X}"),
            Self::Double(bits) => write!(f, "0d{bits:016X}"),
            Self::Address(Some(base), 0) => write!(f, "[{base}]"),
            Self::Address(Some(base), offset) => write!(f, "[{base}{offset:+}]"),
            Self::Address(None, offset) => write!(f, "[{offset}]"),
            Self::Vector(items) => write!(f, "{{{}}}", list(items)),
            Self::List(items) => write!(f, "({})", list(items)),
        }
    }
}
