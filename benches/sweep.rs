//! `cargo bench --bench sweep`: every combination of shape and options, in one to two minutes.
//!
//! Finds options that fall off the road. A figure is the fastest of a few runs, as a multiple of the
//! in-place pass `x *= c` over the same tensor in the same run. Printed are the numbers of cases above
//! 6 and 12 passes, and above .5 and 1 ns an element, the worst twenty, and medians by each option.
//! *Ordinary* cases have a block of more than one unit, drop probability .1 and zeros; the others (single
//! units, p .6, noise) stand apart.
//! `--case TEXT` runs the cases whose name contains all words of the text, and prints each.
//! `cargo test --bench sweep` runs a few of them once.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use dropblock::{
    BlockSize, Drawn, DropBlock, Error, Fill, Key, Layout, Plan, Region, Scale, Shape, Sharing,
};
use indicatif::ProgressBar;

/// Samples, channels, depth, height and width: about 200,000 elements, but for one larger tensor.
const SHAPES: [[usize; 5]; 10] = [
    [32, 1536, 1, 2, 2],
    [8, 512, 1, 7, 7],
    [4, 256, 1, 14, 14],
    [2, 128, 1, 28, 28],
    [1, 64, 1, 56, 56],
    [1, 16, 1, 112, 112],
    [1, 3, 1, 224, 224],
    [1, 32, 1, 160, 160],
    [1, 5, 1, 1, 40_000],
    [1, 32, 8, 28, 28],
];
const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];
const REGIONS: [Region; 2] = [Region::Valid, Region::Full];
const BLOCKS: [usize; 4] = [1, 3, 7, 31];
const PROBS: [f64; 2] = [0.1, 0.6];
const FILLS: [Fill; 2] = [Fill::Zero, Fill::Noise];
const OPERATIONS: [&str; 5] =
    ["forward with mask", "forward", "backward", "drop only with mask", "drop only"];

/// The runs of a case, of all and of chosen ones; the fastest counts.
const RUNS: usize = 2;
const RUNS_OF_CHOSEN: usize = 200;

struct Case {
    shape: [usize; 5],
    layout: Layout,
    region: Region,
    sharing: Sharing,
    scale: Scale,
    block: usize,
    drop_prob: f64,
    fill: Fill,
    operation: &'static str,
}

impl Case {
    fn is_ordinary(&self) -> bool {
        self.block > 1 && self.drop_prob < 0.5 && self.fill == Fill::Zero
    }

    /// What it belongs to, and all together its name.
    fn groups(&self) -> [(&'static str, String); 9] {
        let [n, c, d, h, w] = self.shape;
        [
            ("shape", format!("{n}x{c}x{d}x{h}x{w}")),
            ("layout", format!("{:?}", self.layout)),
            ("region", format!("{:?}", self.region)),
            ("sharing", format!("{:?}", self.sharing)),
            ("scale", format!("{:?}", self.scale)),
            ("block", format!("k{}", self.block)),
            ("p", format!("p{}", self.drop_prob)),
            ("fill", format!("{:?}", self.fill)),
            ("operation", self.operation.to_owned()),
        ]
    }

    fn name(&self) -> String {
        self.groups().map(|(_, name)| name).join(" ")
    }

    fn plan(&self) -> Result<Plan, Error> {
        let [n, c, d, h, w] = self.shape;
        let shape = match self.layout {
            Layout::ChannelsLast => Shape::ndhwc(n, d, h, w, c),
            _ => Shape::ncdhw(n, c, d, h, w),
        };
        let [bd, bh, bw] = [d, h, w].map(|size| if size > 1 { self.block } else { 1 });
        DropBlock::new(1, self.drop_prob)?
            .with_block_size(BlockSize::dhw(bd, bh, bw))?
            .with_region(self.region)
            .with_sharing(self.sharing)
            .with_scale(self.scale)
            .with_fill(self.fill)
            .plan(shape)
    }

    /// Seconds of the fastest run.
    fn measure(&self, x: &mut [f32], words: &mut [u64], runs: usize) -> Result<f64, Error> {
        let plan = self.plan()?;
        let x = &mut x[..plan.elements()];
        x.fill(1.0);
        let mut best = f64::MAX;
        for run in 0..runs {
            // A fresh key each time, so that no branch predictor learns the mask.
            let key = Key::new(1).with_step(run as u64);
            let count = plan.count(key)?.count().unwrap_or_default();
            let start = Instant::now();
            let dropped = match self.operation {
                "forward with mask" => {
                    let mask = plan.draw(key, words)?;
                    mask.forward_in_place(&mut *x)?;
                    mask.count()
                }
                "forward" => plan.forward_in_place(key, &mut *x)?.count().unwrap_or_default(),
                "backward" => {
                    plan.backward_in_place(Drawn::from(key).with_count(count), &mut *x)?;
                    count
                }
                "drop only with mask" => {
                    let mask = plan.draw(key, words)?;
                    mask.drop_only(&mut *x, 0.0)?;
                    mask.count()
                }
                _ => plan.drop_only(key, &mut *x, 0.0)?.count().unwrap_or_default(),
            };
            best = best.min(start.elapsed().as_secs_f64());
            assert_eq!(dropped, count, "{}", self.name());
        }
        Ok(best)
    }
}

/// All of them, in a fixed order. Noise is measured where it differs: in forward passes.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in SHAPES {
        for layout in LAYOUTS {
            for region in REGIONS {
                for &sharing in Sharing::ALL {
                    for &scale in Scale::ALL {
                        for block in BLOCKS {
                            for drop_prob in PROBS {
                                for fill in FILLS {
                                    for operation in OPERATIONS {
                                        let noise = fill == Fill::Noise;
                                        if noise && !operation.starts_with("forward") {
                                            continue;
                                        }
                                        cases.push(Case {
                                            shape,
                                            layout,
                                            region,
                                            sharing,
                                            scale,
                                            block,
                                            drop_prob,
                                            fill,
                                            operation,
                                        });
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    cases
}

/// Seconds of the pass `x *= c` over so many elements, many at a time: a short loop takes a third longer in
/// some places of the program.
fn floor(x: &mut [f32]) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..50 {
        let c = black_box(1.0);
        let start = Instant::now();
        let (blocks, rest) = x.as_chunks_mut::<64>();
        for block in blocks {
            block.iter_mut().for_each(|x| *x *= c);
        }
        rest.iter_mut().for_each(|x| *x *= c);
        black_box(&mut *x);
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A case's passes, its nanoseconds an element, and the case.
type Figures<'c> = (f64, f64, &'c Case);

fn print(title: &str, results: &[Figures<'_>]) {
    if results.is_empty() {
        return;
    }
    println!("{title}: {} cases", results.len());
    let print_all = |what: &str, limits: [f64; 2], figures: Vec<f64>| {
        let [few, many] =
            limits.map(|limit| figures.iter().filter(|&&figure| figure > limit).count());
        let [limit, next] = limits;
        println!(
            "  median {:.2} {what}, {few} above {limit}, {many} above {next}",
            median(figures)
        );
    };
    print_all("passes", [6.0, 12.0], results.iter().map(|result| result.0).collect());
    print_all("ns an element", [0.5, 1.0], results.iter().map(|result| result.1).collect());
    let mut worst: Vec<_> = results.iter().collect();
    worst.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (passes, ns, case) in worst.iter().take(20) {
        println!("  {passes:8.1} {ns:8.2} ns  {}", case.name());
    }
    let mut groups: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    for (passes, _, case) in results {
        for group in case.groups() {
            groups.entry(group).or_default().push(*passes);
        }
    }
    println!("  median passes, and the most:");
    for ((option, name), figures) in groups {
        let most = figures.iter().copied().fold(0.0, f64::max);
        println!("  {:8.2} {most:8.1}  {option} {name}", median(figures));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let testing = !arguments.iter().any(|argument| argument == "--bench");
    let words = arguments.iter().position(|argument| argument == "--case");
    let words: Option<Vec<&str>> =
        words.and_then(|at| arguments.get(at + 1)).map(|text| text.split_whitespace().collect());
    let most = SHAPES.iter().map(|shape| shape.iter().product()).max().unwrap_or(0);
    let (mut x, mut mask) = (vec![1.0_f32; most], vec![0; most / 64 + 1]);

    let mut cases = cases();
    if testing {
        cases = cases.into_iter().step_by(997).collect();
    }
    if let Some(words) = &words {
        cases.retain(|case| {
            let name = case.name();
            words.iter().all(|word| name.split(' ').any(|part| part == *word))
        });
    }
    let floors = SHAPES.map(|shape| floor(&mut x[..shape.iter().product()]));
    let runs = match &words {
        _ if testing => 1,
        None => RUNS,
        Some(_) => RUNS_OF_CHOSEN,
    };
    let mut results = Vec::new();
    let progress = ProgressBar::new(cases.len() as u64);
    for case in &cases {
        let floor = SHAPES.iter().position(|shape| *shape == case.shape).map(|i| floors[i]);
        let (Some(floor), Ok(seconds)) = (floor, case.measure(&mut x, &mut mask, runs)) else {
            panic!("{}", case.name());
        };
        let elements: usize = case.shape.iter().product();
        results.push((seconds / floor, seconds * 1e9 / elements as f64, case));
        progress.inc(1);
        if words.is_some() {
            progress.suspend(|| println!("{:8.2}  {}", seconds / floor, case.name()));
        }
    }
    progress.finish_and_clear();
    let group = |wanted: fn(&Case) -> bool| -> Vec<_> {
        results.iter().copied().filter(|(.., case)| wanted(case)).collect()
    };
    print("ordinary", &group(Case::is_ordinary));
    print("k 1, p 0.1", &group(|c| c.block == 1 && c.drop_prob < 0.5 && c.fill == Fill::Zero));
    print("k 1, p 0.6", &group(|c| c.block == 1 && c.drop_prob > 0.5 && c.fill == Fill::Zero));
    print("p 0.6", &group(|c| c.block > 1 && c.drop_prob > 0.5 && c.fill == Fill::Zero));
    print("noise", &group(|c| c.fill == Fill::Noise));
}
