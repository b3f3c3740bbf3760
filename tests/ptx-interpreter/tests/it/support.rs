//! Kernels around one instruction, and contexts for whole ones.

use cuda::context::{Context, NULL_STREAM};
use cuda::decode::decode;
use cuda::device::Pretended;
use cuda::execute::{Fault, Launch, execute};
use cuda::memory::{Memory, Role};
use cuda::parse::parse;
use cuda::program::{Program, Refusal};
use cuda::stream::Work;

/// The head of a module.
pub(crate) const HEAD: &str = ".version 6.3\n.target sm_70\n.address_size 64\n";

/// Decodes a text; variables are placed in the memory.
pub(crate) fn load(text: &str, memory: &mut Memory) -> Result<Program, Refusal> {
    decode(&parse(text)?, &mut |variable| {
        let name = variable.name.clone();
        let role =
            if variable.space == "const" { Role::Constant(name) } else { Role::Variable(name) };
        let at = memory.allocate(variable.bytes as usize, role).expect("memory for a variable");
        let values = variable.values.clone().unwrap_or_default();
        let data = memory.write(at, variable.bytes as usize).expect("a fresh region");
        data.fill(0);
        data[..values.len()].copy_from_slice(&values);
        at
    })
}

/// A kernel `k` with parameters `in` and `out` and some registers of each class around a body.
pub(crate) fn kernel(body: &str) -> String {
    format!(
        "{HEAD}.visible .entry k(.param .u64 in, .param .u64 out)\n{{\n\
         .reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<20>; .reg .b64 %l<20>;\n\
         .reg .f32 %f<9>; .reg .f64 %g<9>; .reg .b64 %in, %out;\n\
         ld.param.u64 %in, [in]; ld.param.u64 %out, [out];\n{body}\nret;\n}}\n"
    )
}

/// Runs a kernel `k` on the first `out` words of 32 bits of a fresh output, set to zero.
pub(crate) fn run(
    text: &str,
    [grid, block]: [u32; 2],
    input: &[u32],
    out: usize,
) -> Result<Vec<u32>, Box<Fault>> {
    run_seeded(text, [grid, block], input, out, 1)
}

/// The same with a seed.
pub(crate) fn run_seeded(
    text: &str,
    [grid, block]: [u32; 2],
    input: &[u32],
    out: usize,
    seed: u64,
) -> Result<Vec<u32>, Box<Fault>> {
    let mut memory = Memory::new(0, 1 << 30);
    let program = load(text, &mut memory).expect("a text that is accepted");
    let from = memory.allocate(input.len() * 4, Role::Allocation).expect("memory");
    let to = memory.allocate(out * 4, Role::Allocation).expect("memory");
    let bytes: Vec<u8> = input.iter().flat_map(|word| word.to_le_bytes()).collect();
    memory.write(from, bytes.len()).expect("a fresh region").copy_from_slice(&bytes);
    memory.write(to, out * 4).expect("a fresh region").fill(0);
    let params: Vec<u8> = [from, to].iter().flat_map(|word| word.to_le_bytes()).collect();
    let launch = Launch {
        program: &program,
        entry: program.kernel("k").expect("a kernel k"),
        grid: [grid, 1, 1],
        block: [block, 1, 1],
        dynamic: 64,
        params: &params,
        seed,
        budget: 10_000_000,
        profile: false,
    };
    execute(&launch, &mut memory, &mut 1)?;
    let data = memory.read(to, out * 4).expect("values").to_vec();
    Ok(data.as_chunks::<4>().0.iter().map(|&word| u32::from_le_bytes(word)).collect())
}

/// Names of a value of a width in the text: class of registers, type of loads and stores.
fn class(width: u32) -> (&'static str, &'static str) {
    match width {
        1 => ("pred", "u64"),
        16 => ("b16", "u16"),
        32 => ("b32", "u32"),
        _ => ("b64", "u64"),
    }
}

/// Runs one instruction, with `%d` and `%a`, `%b`, `%c`, `%e` in it, for a list of operands. The first
/// width is that of the result.
pub(crate) fn compute(instruction: &str, widths: &[u32], operands: &[[u64; 4]]) -> Vec<u64> {
    let mut body = String::from(
        ".reg .u32 %at; .reg .u64 %offset, %word;\n mov.u32 %at, %ctaid.x;\n\
         mul.wide.u32 %offset, %at, 32; add.s64 %in, %in, %offset;\n\
         mul.wide.u32 %offset, %at, 8; add.s64 %out, %out, %offset;\n",
    );
    for (index, (name, &width)) in "dabce".chars().zip(widths).enumerate() {
        let (register, load) = class(width);
        body += &format!(".reg .{register} %{name};\n");
        if index == 0 {
            continue;
        }
        let at = (index - 1) * 8;
        body += &match width {
            1 => format!("ld.global.u64 %word, [%in+{at}]; setp.ne.u64 %{name}, %word, 0;\n"),
            _ => format!("ld.global.{load} %{name}, [%in+{at}];\n"),
        };
    }
    body += instruction;
    body += &match widths[0] {
        1 => "\nselp.b64 %word, 1, 0, %d;".to_owned(),
        16 => "\ncvt.u64.u16 %word, %d;".to_owned(),
        32 => "\ncvt.u64.u32 %word, %d;".to_owned(),
        _ => "\nmov.b64 %word, %d;".to_owned(),
    };
    body += "st.global.u64 [%out], %word;";
    let halves = |word: u64| [word as u32, (word >> 32) as u32];
    let input: Vec<u32> = operands.iter().flatten().flat_map(|&word| halves(word)).collect();
    let out = run(&kernel(&body), [operands.len() as u32, 1], &input, operands.len() * 2)
        .unwrap_or_else(|fault| panic!("{instruction}: {fault}"));
    out.as_chunks::<2>()
        .0
        .iter()
        .map(|&[low, high]| u64::from(high) << 32 | u64::from(low))
        .collect()
}

/// Compares one instruction with a function for all combinations of operands.
pub(crate) fn check(
    instruction: &str,
    widths: &[u32],
    values: &[&[u64]],
    expected: impl Fn([u64; 4]) -> u64,
) {
    let mut operands = vec![[0; 4]];
    for (index, values) in values.iter().enumerate() {
        operands = operands
            .iter()
            .flat_map(|row| {
                values.iter().map(move |&value| {
                    let mut row = *row;
                    row[index] = value;
                    row
                })
            })
            .collect();
    }
    let got = compute(instruction, widths, &operands);
    for (row, got) in operands.iter().zip(got) {
        let expected = expected(*row);
        assert_eq!(got, expected, "{instruction} of {row:x?}: {got:#x}, not {expected:#x}");
    }
}

/// What a pretended device is if nothing is said, with changes.
pub(crate) fn device(changes: &[(&str, &str)]) -> &'static Pretended {
    let find = |name: &str| {
        changes.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
    };
    Box::leak(Box::new(Pretended::read(find).expect("numbers")))
}

/// A fresh context.
pub(crate) fn context() -> Context {
    Context::new(device(&[]), 0)
}

/// Uploads words of 32 bits to fresh memory.
pub(crate) fn upload(context: &mut Context, words: &[u32]) -> u64 {
    let at = context.allocate(words.len() * 4).expect("memory");
    let from = words.as_ptr().expose_provenance();
    context.at_once(Work::Upload(at, from, words.len() * 4)).expect("an upload");
    at
}

/// Downloads words of 32 bits at once.
pub(crate) fn download(context: &mut Context, at: u64, len: usize) -> Result<Vec<u32>, i32> {
    let mut words = vec![0_u32; len];
    let to = words.as_mut_ptr().expose_provenance();
    context.at_once(Work::Download(to, at, len * 4))?;
    Ok(words)
}

/// Queues a kernel of two pointers.
pub(crate) fn launch(
    context: &mut Context,
    function: u64,
    [grid, block]: [u32; 2],
    stream: u64,
    pointers: [u64; 2],
) -> Result<(), i32> {
    context.launch(function, [[grid, 1, 1], [block, 1, 1]], 0, stream, |_| {
        Ok(pointers.iter().flat_map(|word| word.to_le_bytes()).collect())
    })
}

/// The same on the null stream.
pub(crate) fn launch_null(
    context: &mut Context,
    function: u64,
    sizes: [u32; 2],
    pointers: [u64; 2],
) -> Result<(), i32> {
    launch(context, function, sizes, NULL_STREAM, pointers)
}
