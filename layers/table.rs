//! The table that the layers of all frameworks agree with, `table.txt`: cases, and what the core
//! computes for them. The tests of each layer include this file, and a test proves that the table is
//! what the core gives; with `DROPBLOCK_UPDATE=1` it writes the table.

use std::fmt::Write as _;

use dropblock::half::{bf16, f16};
use dropblock::{BlockSize, DropBlock, Element, Fill, Gamma, Key, Region, Scale, Sharing};

const HEADER: &str = "\
# The table that the layers of all frameworks agree with. A line has a case and then hashes: of the mask,
# and of outputs by type, forward and backward. The key is seed, step, layer, first sample. A hash is
# FNV-1a of 64 bits over the bytes of the elements, little-endian; the mask has a byte for each element of
# the tensor, 1 = dropped. Element i of the input is (37 i mod 101 - 50) / 8, of the gradient
# (53 i mod 103 - 51) / 8. Mask function: version 1.
";

const CASES: &[&str] = &[
    "dims=3,5,9,10 block=3 prob=0.1 key=0,0,0,0",
    "dims=3,5,9,10 block=3 prob=0.1 key=2024,17,3,0",
    "dims=3,5,9,10 block=3 prob=0.1 key=18446744073709551615,18446744073709551615,7,1000",
    "dims=4,8,14,14 block=7 prob=0.1 key=1,0,0,0",
    "dims=4,8,14,14 block=7 prob=0.1 key=1,1,0,0",
    "dims=4,8,14,14 block=7 prob=0.1 key=1,0,1,0",
    "dims=4,8,14,14 block=7 prob=0.1 key=1,0,0,4",
    "dims=4,8,14,14 block=2,5 prob=0.3 gamma=exact key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 region=full key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 sharing=over_channels key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 sharing=over_samples key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 sharing=over_all key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 scale=per_sample key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 scale=per_map key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 scale=per_position key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 scale=fixed key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 scale=off key=5,6,7,8",
    "dims=4,8,14,14 block=4 prob=0.3 fill=noise key=5,6,7,8",
    "dims=6,7,31 block=5 prob=0.2 key=9,8,7,6",
    "dims=2,3,5,6,7 block=3 prob=0.2 key=9,8,7,6",
    "dims=2,3,5,6,7 block=1,3,5 prob=0.2 gamma=exact region=full scale=per_map key=9,8,7,6",
    "dims=1,1,2,3 block=7 prob=0.5 key=3,0,0,0",
    "dims=2,3,6,5 block=3 prob=1 key=1,2,3,4",
    "dims=2,3,6,5 block=3 prob=0 key=1,2,3,4",
];

/// A case as the tests of a layer need it.
pub(crate) struct Case {
    pub(crate) options: DropBlock,
    pub(crate) dims: Vec<usize>,
    pub(crate) key: Key,
    /// The hashes of the committed table.
    pub(crate) mask: String,
    pub(crate) outputs: Vec<(&'static str, [String; 2])>,
}

/// The committed table.
pub(crate) fn cases() -> Vec<Case> {
    let table = include_str!("table.txt");
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let cases: Vec<Case> = lines.map(parse).collect();
    assert_eq!(cases.len(), CASES.len());
    cases
}

/// The input and the gradient of a case.
pub(crate) fn tensors(dims: &[usize]) -> [Vec<f32>; 2] {
    let len: usize = dims.iter().product();
    [
        (0..len).map(|i| ((37 * i % 101) as f32 - 50.0) / 8.0).collect(),
        (0..len).map(|i| ((53 * i % 103) as f32 - 51.0) / 8.0).collect(),
    ]
}

/// Compares the committed table with what the core gives, or writes it.
pub(crate) fn check() {
    let mut table = HEADER.to_string();
    for text in CASES {
        writeln!(table, "{text}{}", computed(&parse(text))).expect("memory");
    }
    if std::env::var("DROPBLOCK_UPDATE").is_ok() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../table.txt");
        std::fs::write(path, &table).expect("the table can be written");
    } else {
        assert_eq!(include_str!("table.txt"), table, "DROPBLOCK_UPDATE=1 writes the table");
    }
}

/// A hash as the table has it.
pub(crate) fn hash(bytes: impl IntoIterator<Item = u8>) -> String {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let fold = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", bytes.into_iter().fold(start, fold))
}

fn parse(line: &str) -> Case {
    let value = |name: &str| {
        let mut words = line.split(' ').filter_map(|word| word.split_once('='));
        words.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let numbers = |name| -> Vec<u64> {
        let list = value(name).expect("a required value").split(',');
        list.map(|number| number.parse().expect("a number")).collect()
    };
    let block_size = match *numbers("block") {
        [size] => BlockSize::uniform(size as usize),
        [height, width] => BlockSize::hw(height as usize, width as usize),
        [depth, height, width] => BlockSize::dhw(depth as usize, height as usize, width as usize),
        _ => panic!("{line}"),
    };
    let prob = value("prob").and_then(|prob| prob.parse().ok()).expect("a probability");
    let gamma = match value("gamma") {
        None => Gamma::Paper { scale: 1.0 },
        Some("exact") => Gamma::Exact,
        Some(other) => panic!("gamma {other}"),
    };
    let region = match value("region") {
        None => Region::Valid,
        Some("full") => Region::Full,
        Some(other) => panic!("region {other}"),
    };
    let sharing = match value("sharing") {
        None => Sharing::None,
        Some("over_channels") => Sharing::OverChannels,
        Some("over_samples") => Sharing::OverSamples,
        Some("over_all") => Sharing::OverAll,
        Some(other) => panic!("sharing {other}"),
    };
    let scale = match value("scale") {
        None => Scale::PerTensor,
        Some("per_sample") => Scale::PerSample,
        Some("per_map") => Scale::PerMap,
        Some("per_position") => Scale::PerPosition,
        Some("fixed") => Scale::Fixed,
        Some("off") => Scale::Off,
        Some(other) => panic!("scale {other}"),
    };
    let fill = match value("fill") {
        None => Fill::Zero,
        Some("noise") => Fill::Noise,
        Some(other) => panic!("fill {other}"),
    };
    let options = DropBlock::new(1, prob)
        .and_then(|options| options.with_block_size(block_size))
        .and_then(|options| options.with_gamma(gamma))
        .expect("in range");
    let key = <[u64; 4]>::try_from(numbers("key")).expect("four words");
    let outputs = ["f32", "f64", "f16", "bf16"].map(|name| {
        let hashes = value(name).unwrap_or("/").split_once('/').expect("two hashes");
        (name, [hashes.0.to_string(), hashes.1.to_string()])
    });
    Case {
        options: options
            .with_region(region)
            .with_sharing(sharing)
            .with_scale(scale)
            .with_fill(fill),
        dims: numbers("dims").iter().map(|&size| size as usize).collect(),
        key: Key::from_words(key),
        mask: value("mask").unwrap_or_default().to_string(),
        outputs: outputs.into(),
    }
}

/// The hashes by the core.
fn computed(case: &Case) -> String {
    let plan = case.options.plan(crate::shape(&case.dims)).expect("a plan");
    let mut dropped = vec![0; plan.elements()];
    plan.drop_only(case.key, &mut dropped, 1_u8).expect("a pass");
    let mut text = format!(" mask={}", hash(dropped));
    // The tensors are exact in every type.
    macro_rules! outputs {
        ($($float:ident: $from:expr),*) => {$(
            let [x, dy] = tensors(&case.dims).map(|x| x.into_iter().map($from).collect::<Vec<_>>());
            let (mut y, mut dx) = (vec![$float::ZERO; x.len()], vec![$float::ZERO; x.len()]);
            plan.forward(case.key, &x, &mut y).expect("a pass");
            plan.backward(case.key, &dy, &mut dx).expect("a pass");
            let [y, dx] = [y, dx].map(|y| hash(y.iter().flat_map(|y| y.to_le_bytes())));
            write!(text, concat!(" ", stringify!($float), "={}/{}"), y, dx).expect("memory");
        )*};
    }
    outputs!(f32: f32::from, f64: f64::from, f16: f16::from_f32, bf16: bf16::from_f32);
    text
}
