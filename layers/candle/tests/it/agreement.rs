//! One key gives the same mask and outputs here as in the core: `layers/table.txt`.

#[path = "../../../table.rs"]
mod table;

use candle_core::{DType, Device, Tensor, Var};
use dropblock_candle::{Fill, drop_block};

use crate::elements;
use table::{Case, cases, hash, tensors};

#[test]
fn the_core_gives_the_table() {
    table::check();
}

#[test]
fn the_layer_gives_the_table() {
    for case in cases() {
        check(&case);
    }
}

fn check(case: &Case) {
    let tensor = |x: Vec<f32>, dtype| {
        let x = Tensor::from_vec(x, &case.dims[..], &Device::Cpu).expect("a tensor");
        x.to_dtype(dtype).expect("a type")
    };
    for (name, expected) in &case.outputs {
        let dtype = match *name {
            "f32" => DType::F32,
            "f64" => DType::F64,
            "f16" => DType::F16,
            _ => DType::BF16,
        };
        let [x, dy] = tensors(&case.dims).map(|x| tensor(x, dtype));
        let x = Var::from_tensor(&x).expect("a variable");
        let y = drop_block(&x, &case.options, case.key).expect("a pass");
        let loss = (&y * dy).and_then(|y| y.sum_all()).expect("a sum");
        let grads = loss.backward().expect("gradients");
        let dx = grads.get(&x).expect("a gradient");
        let hashes = [&y, dx].map(|y| match dtype {
            DType::F32 => hash(elements::<f32>(y).iter().flat_map(|y| y.to_le_bytes())),
            DType::F64 => hash(elements::<f64>(y).iter().flat_map(|y| y.to_le_bytes())),
            DType::F16 => hash(elements::<half::f16>(y).iter().flat_map(|y| y.to_le_bytes())),
            _ => hash(elements::<half::bf16>(y).iter().flat_map(|y| y.to_le_bytes())),
        });
        assert_eq!(&hashes, expected, "{name} {:?} {:?}", case.options, case.key);
    }
    // Where ones become zeros. Noise shows nothing.
    if case.options.fill() == Fill::Zero {
        let x = tensor(vec![1.0; case.dims.iter().product()], DType::F32);
        let y = drop_block(&x, &case.options, case.key).expect("a pass");
        let dropped = elements::<f32>(&y).into_iter().map(|y| u8::from(y == 0.0));
        assert_eq!(hash(dropped), case.mask, "{:?} {:?}", case.options, case.key);
    }
}
