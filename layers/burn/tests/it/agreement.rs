//! One key gives the same mask and outputs here as in the core: `layers/table.txt`.

#[path = "../../../table.rs"]
mod table;

use burn::tensor::{DType, Device, Tensor, TensorData};
use dropblock_burn::{Fill, drop_block, drop_block_portable};

use crate::devices;
use table::{Case, cases, hash, tensors};

#[test]
fn the_core_gives_the_table() {
    table::check();
}

#[test]
fn both_ways_give_the_table() {
    for case in cases() {
        for device in devices() {
            for portable in [false, true] {
                match case.dims.len() {
                    3 => check::<3>(&case, &device, portable),
                    4 => check::<4>(&case, &device, portable),
                    _ => check::<5>(&case, &device, portable),
                }
            }
        }
    }
}

fn check<const D: usize>(case: &Case, device: &Device, portable: bool) {
    let way = if portable { drop_block_portable } else { drop_block };
    let device = device.clone().autodiff();
    let dims: [usize; D] = case.dims.clone().try_into().expect("the rank");
    let tensor = |x: Vec<f32>, dtype: DType| {
        Tensor::<D>::from_data(TensorData::new(x, dims), (&device, DType::F32)).cast(dtype)
    };
    for (name, expected) in &case.outputs {
        let dtype = match *name {
            "f32" => DType::F32,
            "f64" => DType::F64,
            "f16" => DType::F16,
            _ => DType::BF16,
        };
        if !device.supports_dtype(dtype) {
            continue;
        }
        let [x, dy] = tensors(&case.dims).map(|x| tensor(x, dtype));
        let x = x.detach().require_grad();
        let y = way(x.clone(), &case.options, case.key);
        let grads = (y.clone() * dy).sum().backward();
        let dx = x.grad(&grads).expect("a gradient");
        let hashes = [y, dx].map(|y| hash(y.into_data().bytes().iter().copied()));
        assert_eq!(&hashes, expected, "{name} {:?} {:?} {device:?}", case.options, case.key);
    }
    // Where ones become zeros. With a probability of 1 and noise that shows nothing.
    if case.options.fill() == Fill::Zero {
        let y = way(tensor(vec![1.0; dims.iter().product()], DType::F32), &case.options, case.key);
        let dropped = y.into_data().iter::<f32>().map(|y| u8::from(y == 0.0)).collect::<Vec<_>>();
        assert_eq!(hash(dropped), case.mask, "{:?} {:?}", case.options, case.key);
    }
}
