//! What `inspect` prints: the same on all backends, for every rank and type; the same for two ways to
//! say one thing; and refusals.

use std::collections::BTreeSet;

use dropblock::Backend;
use dropblock_tools::inspect;

const TYPES: &[&str] = if cfg!(feature = "half") {
    &["f32", "f64", "f16", "bf16", "i8", "u8"]
} else {
    &["f32", "f64", "i8", "u8"]
};

/// What is printed for one key.
fn try_lines(flags: &str) -> Result<String, String> {
    let all = format!("--drop-prob 0.1 --seed 1 --step 2 {flags}");
    inspect::run(all.split(' ').map(str::to_string).collect())
}

fn lines(flags: &str) -> String {
    try_lines(flags).unwrap_or_else(|message| panic!("{message} in {flags}"))
}

/// The value of one line.
fn value(name: &str, flags: &str) -> String {
    let lines = lines(flags);
    let value = lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} for {flags}")).to_string()
}

fn mask(flags: &str) -> String {
    value("mask_sha256", flags)
}

fn output(flags: &str) -> String {
    value("output_sha256", &format!("--dtype f32 {flags}"))
}

/// All lines but the name of the backend are those of `scalar`.
fn same_everywhere(flags: &str) {
    let lines = |backend: Backend| {
        let lines = lines(&format!("{flags} --backend {backend}"));
        lines.replace(&format!("backend: {backend}\n"), "")
    };
    let scalar = lines(Backend::Scalar);
    assert!(scalar.contains("mask_sha256: ") && !scalar.contains("backend: "), "{scalar}");
    for backend in Backend::available() {
        assert_eq!(lines(backend), scalar, "{backend}: {flags}");
    }
}

#[test]
fn backends_print_the_same_for_every_rank_and_type() {
    assert!(Backend::available().any(|backend| backend == Backend::Simd));
    for (shape, block) in [("4,37,211", "7"), ("4,37,14,15", "5x3"), ("2,5,6,7,11", "2x3x5")] {
        let map = format!("--shape {shape} --block-size {block}");
        same_everywhere(&map);
        for dtype in TYPES {
            for scale in ["per-tensor", "per-position"] {
                same_everywhere(&format!("{map} --dtype {dtype} --scale {scale}"));
            }
        }
        same_everywhere(&format!("{map} --dtype f32 --layout last --fill noise"));
        let first = mask(&format!("{map} --layout first"));
        assert_eq!(first, mask(&format!("{map} --layout last")), "{map}");
    }
}

#[test]
fn a_view_has_the_mask_of_its_shape_and_the_output_of_where_it_lies() {
    let map = "--shape 4,37,14,15 --block-size rel:0.25";
    let padded = format!("{map} --strides 8288,224,16,1");
    assert_eq!(mask(map), mask(&padded));
    assert_ne!(output(map), output(&padded));
    let nhwc = output(&format!("{map} --layout nhwc"));
    assert_eq!(nhwc, output(&format!("{map} --strides 7770,1,555,37")));
}

#[test]
fn a_preset_is_its_options_and_a_flag_beside_it_replaces_one() {
    let map = "--shape 4,37,14,15 --block-size 6";
    let preset = |flags: &str| output(&format!("{map} --preset {flags}"));
    assert_eq!(preset("tensorflow"), output(map));
    assert_eq!(preset("timm-legacy"), preset("timm --sharing none"));
    let timm = format!("{map} --region full --gamma paper-valid --sharing over-channels");
    assert_eq!(preset("timm"), output(&timm));
    let all = ["tensorflow", "timm", "timm-legacy", "miguelvr", "dragon"];
    assert_eq!(all.map(preset).into_iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn presets_have_the_names_of_the_documentation() {
    let options = "--shape 2,16,14,15 --block-size 7";
    let preset = |name: &str| output(&format!("{options} --preset {name}"));
    let paper = output(options);
    assert!(["new", "tensorflow", "torchvision"].map(preset).iter().all(|text| *text == paper));
    assert_eq!(preset("timm_legacy"), preset("timm-legacy"));
    // What torchvision does otherwise, no preset does.
    for block_size in ["6", "15", "3x5"] {
        let options = format!("--shape 2,16,14,15 --block-size {block_size} --preset torchvision");
        assert!(try_lines(&options).is_err_and(|message| message.starts_with("--block-size: ")));
    }
}

#[test]
fn a_refusal_names_its_flag() {
    let flags = "--shape 4,37,211 --layout nchw --block-size 7";
    let refused = try_lines(flags);
    assert!(refused.is_err_and(|message| message.starts_with("--layout: ")));
}
