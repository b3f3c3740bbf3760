//! What the program `inspect` prints.
//!
//! One `name: value` a line, always in this order; floats are the shortest decimals that read
//! back as the same value:
//!
//! * `gamma`: the gamma really used;
//! * `expected_dropped`: the exact expected fraction of dropped units;
//! * `dropped`, `units`: the number of dropped units, and of all units of the mask;
//! * `realised_dropped`: their quotient;
//! * `scale`: the scale of the first scale group, with `--scale per-position` that of position 0; as
//!   `f64` for `--dtype f64` and else as `f32`; 1 for an empty mask;
//! * `mask_sha256`: SHA-256 of the mask's first `ceil(units / 8)` bytes, all words being written
//!   as little-endian bytes one after the other: unit `i` is bit `i % 8` of byte `i / 8`, and
//!   the bits past the last unit are 0;
//! * `output_sha256`, only with `--dtype`: SHA-256 of the little-endian bytes of a buffer after
//!   the operation on it, in place. The buffer holds the elements from the first to the last that
//!   a unit has; those between the units of a view stay as they are;
//! * `backend`: the backend that drew the mask. Every other line is the same for all of them.
//!
//! | `--dtype` | element `i` of the buffer | operation |
//! | --- | --- | --- |
//! | `f32`, `f64`, `f16`, `bf16` | `i % 257 - 128` | forward pass, with `--fill` |
//! | `i8` | `i % 251 - 128` | `--zero-point` is written to dropped units, nothing is scaled |
//! | `u8` | `i % 251` | as for `i8` |
//!
//! `f16` and `bf16` need the feature `half`. The shape tells the rank: 3 sizes for 1-D maps, 4 for
//! 2-D, 5 for 3-D. `--show` adds the mask of one plane as text, `--csv` prints a line of names and one of
//! values instead. A view of any layout is given by `--strides`. `--preset` starts from another
//! implementation's options, and the flags beside it replace them one by one.

use std::fmt::Display;

use dropblock::{Element, Mask, Plan, Scale};
use sha2::{Digest, Sha256};

use arguments::{Dtype, Request, refused};

pub use flags::{usage, version};

mod arguments;
mod flags;
mod plane;

/// Returns the lines for these arguments, or what is wrong with an argument, by its flag.
pub fn run(args: Vec<String>) -> Result<String, String> {
    report(&Request::new(args)?)
}

fn report(request: &Request) -> Result<String, String> {
    let plan = &request.plan;
    // Before long work: a path that does not work.
    let picture = request.output.png.as_deref().map(plane::create).transpose()?;
    // First, as it may need by far the most memory, and gives it back.
    let output = output_sha256(request)?;
    let mut words = Vec::new();
    words.try_reserve_exact(plan.mask_words()).map_err(|_| {
        let size = &request.shape;
        format!("--shape: memory for a mask of {} bits is needed for {size}", plan.units())
    })?;
    words.resize(plan.mask_words(), 0);
    let mask = plan.draw(request.key, &mut words).map_err(refused("--first-sample"))?;
    let count = mask.count();
    let scale = match request.dtype {
        Dtype::F64 => scale::<f64>(plan, &mask),
        _ => scale::<f32>(plan, &mask),
    }?;

    let mut lines = vec![
        ("gamma", plan.gamma().to_string()),
        ("expected_dropped", plan.expected_dropped().to_string()),
        ("dropped", count.dropped.to_string()),
        ("units", count.total.to_string()),
        ("realised_dropped", count.fraction().to_string()),
        ("scale", scale),
        ("mask_sha256", mask_sha256(mask.dropped_words(), plan.units())),
    ];
    lines.extend(output.map(|sha256| ("output_sha256", sha256)));
    lines.push(("backend", plan.backend().to_string()));
    if let Some(picture) = picture {
        plane::write(picture, request, &mask)?;
    }
    if request.output.csv {
        let (names, values): (Vec<&str>, Vec<&str>) =
            lines.iter().map(|(name, value)| (*name, value.as_str())).unzip();
        return Ok(format!("{}\n{}\n", names.join(","), values.join(",")));
    }
    let mut text: String = lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    if request.output.show {
        text += &plane::text(request, &mask);
    }
    Ok(text)
}

/// The scale of the first group, or of the first position.
fn scale<T: Element>(plan: &Plan, mask: &Mask<'_>) -> Result<String, String>
where
    T::Scale: Display,
{
    if plan.units() == 0 {
        return Ok("1".into());
    }
    let scale = match plan.layer().scale() {
        Scale::PerPosition => plan.position_scale::<T>(0),
        _ => mask.count_group(0).map(|count| plan.scale::<T>(count)),
    };
    Ok(scale.map_err(refused("--scale"))?.to_string())
}

fn mask_sha256(mask: &[u64], units: usize) -> String {
    let bytes: Vec<_> =
        mask.iter().flat_map(|word| word.to_le_bytes()).take(units.div_ceil(8)).collect();
    hex(Sha256::new().chain_update(bytes))
}

fn output_sha256(request: &Request) -> Result<Option<String>, String> {
    match request.dtype {
        Dtype::F32 => forward::<f32>(request),
        Dtype::F64 => forward::<f64>(request),
        #[cfg(feature = "half")]
        Dtype::F16 => forward::<dropblock::half::f16>(request),
        #[cfg(feature = "half")]
        Dtype::Bf16 => forward::<dropblock::half::bf16>(request),
        Dtype::I8 { zero_point } => drop_only(request, zero_point),
        Dtype::U8 { zero_point } => drop_only(request, zero_point),
        Dtype::None => return Ok(None),
    }
    .map(Some)
}

fn forward<T: Element + Standard>(request: &Request) -> Result<String, String> {
    let mut x = standard_input::<T>(request)?;
    let result = request.plan.forward_in_place(request.key, request.tensor(&mut x));
    result.map_err(refused("--first-sample"))?;
    Ok(sha256(&x))
}

fn drop_only<T: Standard + Send + Sync>(
    request: &Request,
    zero_point: T,
) -> Result<String, String> {
    let mut x = standard_input::<T>(request)?;
    let result = request.plan.drop_only(request.key, request.tensor(&mut x), zero_point);
    result.map_err(refused("--first-sample"))?;
    Ok(sha256(&x))
}

fn standard_input<T: Standard>(request: &Request) -> Result<Vec<T>, String> {
    let len = request.len();
    let mut x = Vec::new();
    x.try_reserve_exact(len).map_err(|_| {
        let (flag, given) = &request.extent;
        let bytes = len as u128 * size_of::<T>() as u128;
        format!("{flag}: {bytes} bytes of memory are needed for {given}, or no --dtype")
    })?;
    x.extend((0..len).map(T::input));
    Ok(x)
}

fn sha256<T: Standard>(x: &[T]) -> String {
    let mut sha256 = Sha256::new();
    // Small parts: the bytes of a large buffer need no second one.
    let mut bytes = Vec::new();
    for part in x.chunks(4096) {
        bytes.clear();
        part.iter().for_each(|x| x.write(&mut bytes));
        sha256.update(&bytes);
    }
    hex(sha256)
}

fn hex(sha256: Sha256) -> String {
    sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A type of elements with a standard input.
trait Standard: Copy {
    /// Element `i` of the input.
    fn input(i: usize) -> Self;

    /// Appends the little-endian bytes.
    fn write(self, bytes: &mut Vec<u8>);
}

macro_rules! standard {
    ($type:ty, |$i:ident| $input:expr) => {
        impl Standard for $type {
            fn input($i: usize) -> Self {
                $input
            }

            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
        }
    };
}

// Every value is exact in every type.
standard!(f32, |i| (i % 257) as f32 - 128.0);
standard!(f64, |i| (i % 257) as f64 - 128.0);
standard!(i8, |i| ((i % 251) as i16 - 128) as i8);
standard!(u8, |i| (i % 251) as u8);
#[cfg(feature = "half")]
standard!(dropblock::half::f16, |i| Self::from_f32(f32::input(i)));
#[cfg(feature = "half")]
standard!(dropblock::half::bf16, |i| Self::from_f32(f32::input(i)));
