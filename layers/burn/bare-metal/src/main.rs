//! Trains for some steps without an operating system, and compares with the table that all layers agree
//! with. Under an emulator it ends with success; anything else is a panic.

#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(target_os = "none", no_main)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::tensor::{Device, Tensor, TensorData};
use dropblock_burn::{DropBlock, DropBlock2d, DropBlock2dConfig, Key, drop_block, next_step};

/// The line of the table that is computed here.
const CASE: &str = "dims=3,5,9,10 block=3 prob=0.1 key=2024,17,3,0 ";

#[derive(Module, Debug)]
struct Model {
    conv: Conv2d,
    drop: DropBlock2d,
}

fn run() -> String {
    let device = Device::flex().autodiff();

    // The same bits as on other machines.
    let numbers = |a: usize, m: usize, half: f32| -> Vec<f32> {
        (0..3 * 5 * 9 * 10).map(|i| ((a * i % m) as f32 - half) / 8.0).collect()
    };
    let tensor = |x: Vec<f32>| Tensor::<4>::from_data(TensorData::new(x, [3, 5, 9, 10]), &device);
    let x = tensor(numbers(37, 101, 50.0)).require_grad();
    let options = DropBlock::new(3, 0.1).expect("in range");
    let key = Key::new(2024).with_step(17).with_layer(3);
    let y = drop_block(x.clone(), &options, key);
    let grads = (y.clone() * tensor(numbers(53, 103, 51.0))).sum().backward();
    let hashes = format!("f32={:016x}/{:016x}", hash(y), hash(x.grad(&grads).expect("a gradient")));
    let line = include_str!("../../../table.txt").lines().find(|line| line.starts_with(CASE));
    assert!(line.expect("the case").contains(&hashes), "{hashes}");

    // Steps of gradient descent towards zeros.
    let conv = Conv2dConfig::new([1, 2], [3, 3]).init(&device);
    let drop = DropBlock2dConfig::new([3, 3], 0.1).with_seed(2024).init();
    let mut model = Model { conv, drop };
    let data = TensorData::new((0..100).map(|i| (i % 7) as f32 - 3.0).collect(), [1, 1, 10, 10]);
    let x = Tensor::<4>::from_data(data, &device);
    let mut losses = Vec::new();
    for _ in 0..5 {
        let y = model.drop.forward(model.conv.forward(x.clone()));
        let loss = y.powi_scalar(2).mean();
        let grads = loss.backward();
        losses.push(loss.into_scalar::<f32>());
        let conv = model.conv;
        let slope = conv.weight.grad(&grads).expect("a gradient");
        let step = |weight: Tensor<4>| {
            Tensor::from_inner(weight.without_autodiff() - slope * 0.02).require_grad()
        };
        model.conv = Conv2d { weight: Param::from_tensor(step(conv.weight.val())), ..conv };
        model = next_step(model);
    }
    assert_eq!(model.drop.step.get(), 5);
    assert!(losses[4] < losses[0], "{losses:?}");
    format!("{hashes}, losses {losses:?}")
}

/// FNV-1a of 64 bits.
fn hash(x: Tensor<4>) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    x.into_data().bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold)
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("{}", run());
}

#[cfg(target_os = "none")]
mod machine {
    use core::mem::MaybeUninit;
    use core::panic::PanicInfo;
    use core::ptr::addr_of_mut;

    use cortex_m_rt::entry;
    use cortex_m_semihosting::debug::{EXIT_FAILURE, EXIT_SUCCESS, exit};
    use cortex_m_semihosting::hprintln;
    use embedded_alloc::LlffHeap as Heap;

    #[global_allocator]
    static HEAP: Heap = Heap::empty();

    const HEAP_LEN: usize = 1 << 20;
    static mut MEMORY: [MaybeUninit<u8>; HEAP_LEN] = [MaybeUninit::uninit(); HEAP_LEN];

    #[entry]
    fn main() -> ! {
        // SAFETY: once, before anything is allocated, with memory that nothing else names.
        unsafe { HEAP.init(addr_of_mut!(MEMORY) as usize, HEAP_LEN) }
        hprintln!("{}, {} bytes of the heap in use", super::run(), HEAP.used());
        exit(EXIT_SUCCESS);
        loop {}
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        hprintln!("{}", info);
        exit(EXIT_FAILURE);
        loop {}
    }
}
