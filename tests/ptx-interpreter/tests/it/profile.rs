//! What is counted of a launch.

use cuda::execute::{Launch, execute};
use cuda::memory::{Memory, Role};
use cuda::profile::Profile;

use crate::support::{kernel, load};

/// Instructions, sectors and barriers of a kernel with so many bytes of output, set to zero.
fn counted(body: &str, grid: u32, block: u32, out: usize, seed: u64) -> [u64; 4] {
    let mut memory = Memory::new(0, 1 << 20);
    let program = load(&kernel(body), &mut memory).expect("a text that is accepted");
    let to = memory.allocate(out, Role::Allocation).expect("memory");
    memory.write(to, out).expect("a fresh region").fill(0);
    let params: Vec<u8> = [to, to].iter().flat_map(|word| word.to_le_bytes()).collect();
    let launch = Launch {
        program: &program,
        entry: 0,
        grid: [grid, 1, 1],
        block: [block, 1, 1],
        dynamic: 0,
        params: &params,
        seed,
        budget: 1_000_000,
        profile: true,
    };
    let (_, profile) = execute(&launch, &mut memory, &mut 1).expect("no fault");
    let Profile { blocks, instructions, sectors, barriers, .. } = profile.expect("counts");
    [blocks, instructions, sectors, barriers]
}

#[test]
fn counts_of_a_launch() {
    for seed in 0..9 {
        // The parameters are one line, the return is another.
        let alike = "mov.u32 %r1, %tid.x;\nmul.wide.u32 %l1, %r1, 4;\nadd.s64 %l2, %out, %l1;\n\
            ld.global.u32 %r2, [%l2];\nbar.sync 0;\nst.global.u32 [%l2], %r1;";
        assert_eq!(counted(alike, 1, 64, 256, seed), [1, 8 * 64, 16, 1]);
        // Apart: each thread has a sector of its own. A warp that is not whole counts as it is.
        let apart = alike.replace("%r1, 4;", "%r1, 32;");
        assert_eq!(counted(&apart, 1, 40, 40 * 32, seed), [1, 8 * 40, 80, 1]);
        // The same for all: once for each warp and each time. A guard holds back, but costs its turn.
        let looped = "mov.u32 %r3, 0;\n$again:\nld.global.u32 %r2, [%out];\nadd.u32 %r3, %r3, 1;\n\
            setp.lt.u32 %p1, %r3, 3;\n@%p1 bra $again;\nsetp.eq.u32 %p2, %r3, 9;\n\
            @%p2 ld.global.u32 %r2, [%out+32];";
        assert_eq!(counted(looped, 2, 64, 64, seed), [2, 17 * 128, 12, 0]);
        let atomic = "red.global.add.u32 [%out], 1;";
        assert_eq!(counted(atomic, 2, 32, 4, seed), [2, 3 * 64, 2, 0]);
    }
}
