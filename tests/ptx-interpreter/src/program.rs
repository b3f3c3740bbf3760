//! Decoded programs: what `decode` makes of the text and what `thread` runs.

use std::fmt;

/// A place in the registers of a thread: a register, a constant or a special register.
pub type Slot = u16;
/// No place: a result that nobody wants.
pub const NONE: Slot = Slot::MAX;

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Line of the text; 0 if no single one is to blame.
    pub line: u32,
    /// What is wrong there.
    pub what: String,
}

impl Refusal {
    /// A refusal of a line.
    pub fn new(line: u32, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}: {}", self.line, self.what)
    }
}

/// A function of one value.
pub type Unary = fn(u64) -> u64;
/// A function of two values.
pub type Binary = fn(u64, u64) -> u64;
/// A function of three values.
pub type Ternary = fn(u64, u64, u64) -> u64;
/// A function of four values.
pub type Quaternary = fn([u64; 4]) -> u64;

/// A step of a thread. Registers hold their value extended with zeros to 64 bits; predicates are 0 or 1.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "each step says what its fields are")]
pub enum Op {
    /// `d = a`
    Move { d: Slot, a: Slot },
    /// `d = f(a)`
    Unary { f: Unary, d: Slot, a: Slot },
    /// `d = f(a, b)`
    Binary { f: Binary, d: Slot, a: Slot, b: Slot },
    /// `d = f(a, b, c)`
    Ternary { f: Ternary, d: Slot, a: Slot, b: Slot, c: Slot },
    /// `d = f(s)`
    Quaternary { f: Quaternary, d: Slot, s: [Slot; 4] },
    /// An integer conversion.
    Convert { d: Slot, a: Slot, from: Integer, to: Integer, bits: u8 },
    /// Goes to `target` if `p` is `when`.
    Branch { p: Slot, when: bool, target: u32 },
    /// Goes to `target`.
    Jump { target: u32 },
    /// Goes to the entry `index` of a table.
    Indexed { index: Slot, table: u32 },
    /// Reads memory, see `Function::accesses`.
    Load { access: u32 },
    /// Writes memory.
    Store { access: u32 },
    /// Reads and writes memory in one step, see `Function::atomics`.
    Atomic { atomic: u32 },
    /// Waits for all threads of the block.
    Barrier,
    /// Works together with threads of the warp, see `Function::warps`.
    Warp { warp: u32 },
    /// Calls a function, see `Function::calls`.
    Call { call: u32 },
    /// Returns to the caller; ends the thread in a kernel.
    Return,
    /// Ends the thread.
    Exit,
    /// Stops the launch with an error.
    Trap,
    /// Orders memory: nothing to do, since threads are interleaved one instruction after another.
    Fence,
}

/// An integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// Width.
    pub bits: u8,
    /// Whether it has a sign.
    pub signed: bool,
    /// Whether a conversion to it clamps.
    pub saturate: bool,
}

/// Where an address points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The address says.
    Generic,
    /// Device memory and variables of the module.
    Global,
    /// Constants of the module.
    Const,
    /// Memory of the block.
    Shared,
    /// Memory of the thread.
    Local,
    /// Parameters.
    Param,
}

/// A load or a store.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Where.
    pub space: Space,
    /// Bytes of one element.
    pub bytes: u8,
    /// Elements, 1, 2 or 4.
    pub count: u8,
    /// Whether loaded elements are extended with their sign.
    pub signed: bool,
    /// Whether it counts as atomic towards other accesses.
    pub strong: bool,
    /// The bits that the register loaded into has.
    pub mask: u64,
    /// Base of the address.
    pub base: Slot,
    /// Added to the base.
    pub offset: i64,
    /// The registers.
    pub registers: [Slot; 4],
}

/// An atomic operation.
#[derive(Clone, Copy, Debug)]
pub struct Atomic {
    /// Where; `base`, `offset` and `bytes` count.
    pub access: Access,
    /// New value from old value and operands.
    pub f: Ternary,
    /// Where the old value goes.
    pub d: Slot,
    /// Operands.
    pub operands: [Slot; 2],
}

/// What threads of a warp do together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// `bar.warp.sync`
    Sync,
    /// `shfl.sync`
    Shuffle(Shuffle),
    /// `vote.sync`
    Vote(Vote),
}

/// The modes of `shfl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    /// From a lane below.
    Up,
    /// From a lane above.
    Down,
    /// From a lane by exclusive or.
    Butterfly,
    /// From a given lane.
    Index,
}

/// The modes of `vote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// True of all.
    All,
    /// True of one at least.
    Any,
    /// The same for all.
    Uniform,
    /// One bit for each.
    Ballot,
}

/// A warp operation.
#[derive(Clone, Copy, Debug)]
pub struct Warp {
    /// What.
    pub what: Together,
    /// Result and predicate result.
    pub d: [Slot; 2],
    /// Value, lane, clamp.
    pub operands: [Slot; 3],
    /// The lanes that take part.
    pub members: Slot,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Number of the function.
    pub function: usize,
    /// Parameters: offset here, offset there, bytes.
    pub arguments: Vec<[usize; 3]>,
    /// Results: offset there, offset here, bytes.
    pub results: Vec<[usize; 3]>,
}

/// Registers that the hardware sets.
#[derive(Clone, Copy, Debug)]
pub enum Special {
    /// `%tid`
    Thread(u8),
    /// `%ntid`
    Threads(u8),
    /// `%ctaid`
    Block(u8),
    /// `%nctaid`
    Blocks(u8),
    /// `%laneid`
    Lane,
    /// `%warpid`
    WarpNumber,
    /// `%lanemask_..`: the lanes compared with one's own.
    LaneMask(fn(u32, u32) -> bool),
    /// `%dynamic_smem_size`
    DynamicShared,
}

/// A function.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Whether it is a kernel.
    pub entry: bool,
    /// The steps.
    pub code: Vec<Op>,
    /// Line of each step.
    pub lines: Vec<u32>,
    /// Registers and constants as a thread finds them.
    pub image: Vec<u64>,
    /// Places that differ between threads.
    pub specials: Vec<(Slot, Special)>,
    /// Places that hold the address of a local variable, as if its frame were the first.
    pub locals: Vec<Slot>,
    /// Loads and stores.
    pub accesses: Vec<Access>,
    /// Atomic operations.
    pub atomics: Vec<Atomic>,
    /// Warp operations.
    pub warps: Vec<Warp>,
    /// Calls.
    pub calls: Vec<Call>,
    /// Tables of `brx.idx`.
    pub tables: Vec<Vec<u32>>,
    /// Parameters: offset and bytes.
    pub params: Vec<[usize; 2]>,
    /// Where pointers may be among the parameters of a kernel: words of those that are aligned to 8 bytes.
    pub pointers: Vec<usize>,
    /// Results of a device function: offset and bytes.
    pub returns: Vec<[usize; 2]>,
    /// Bytes of parameters: of a kernel its own.
    pub param_bytes: usize,
    /// Bytes of parameter variables in the frame.
    pub frame_bytes: usize,
    /// Bytes of local variables.
    pub local_bytes: usize,
    /// Shared variables of the kernel and all it calls: address and bytes.
    pub shared: Vec<[usize; 2]>,
    /// Bytes of static shared memory as a device counts them.
    pub shared_bytes: usize,
    /// Address of dynamic shared memory.
    pub dynamic_shared: usize,
    /// Registers of this function and all that it calls.
    pub stack_slots: usize,
    /// Frames of parameters likewise.
    pub stack_frames: usize,
    /// Local memory likewise.
    pub stack_local: usize,
    /// Most threads in a block.
    pub max_threads: Option<u64>,
    /// The exact number of threads in a block.
    pub required_threads: Option<u64>,
    /// Registers as declared.
    pub registers: usize,
}

/// A loaded module.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The functions.
    pub functions: Vec<Function>,
}

impl Program {
    /// The number of a kernel.
    pub fn kernel(&self, name: &str) -> Option<usize> {
        self.functions.iter().position(|function| function.entry && function.name == name)
    }
}
