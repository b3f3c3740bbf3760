//! Trains a small network on 300 digits without DropBlock and with it, and prints what it changes.
//!
//! ```text
//! cargo run --release --example train [-- OPTIONS]
//! ```
//!
//! The network is two convolutions of 3 x 3 with ReLU and pooling and a linear layer. After each
//! pooling, at 14 x 14 and at 7 x 7, it drops units: not at all, or by dropout, DropBlock or
//! SpatialDropout, with the paper's schedule. Each method runs with the same seeds; a seed sets the
//! digits that are trained on, their order, the first weights and the masks. So the runs of two methods
//! are pairs, and the table has their differences. The test digits come as they are, and with a hole.
//! Every figure is the same on every machine and for any number of threads.
//!
//! `training.rs` is the recipe to copy: schedule, last batch, evaluation, a file to go on from, batches
//! in parts. `network.rs` has the arithmetic, `digits.rs` the data.

mod digits;
mod network;
mod report;
mod training;

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::{fs, io, thread};

use dropblock::{BlockSize, DropBlock, Gamma};

use digits::{Split, Test};
use training::{Result, STEPS, Training};

const USAGE: &str = "\
usage: train [options]

  --seeds N             runs of each method                           (10)
  --threads N           runs at a time; changes no figure             (the processors)
  --micro-batch N       digits at a time in a step; changes no figure (32, the batch)
  --checkpoints FOLDER  keeps the runs in files there, and goes on from such files
  --out FILE.csv        also writes the digits that each run gets right
  --tune                tries block sizes and probabilities, on digits that the table does not use
  --help                this text
";

/// A way to drop units.
struct Method {
    name: &'static str,
    block_size: BlockSize,
    drop_prob: f64,
}

const fn method(name: &'static str, block_size: BlockSize, drop_prob: f64) -> Method {
    Method { name, block_size, drop_prob }
}

const UNIT: BlockSize = BlockSize::uniform(1);
const MAP: BlockSize = BlockSize::relative(1.0);

/// With the block size and the probabilities that are best on clean digits by `--tune --seeds 5`. The
/// first one is what the others are compared with.
const METHODS: [Method; 4] = [
    method("none", UNIT, 0.0),
    method("dropout", UNIT, 0.4),
    method("DropBlock 3 x 3", BlockSize::uniform(3), 0.3),
    method("SpatialDropout", MAP, 0.4),
];

impl Method {
    /// The options at the end of the schedule. By exact gamma every method drops what it says.
    fn layer(&self) -> Result<DropBlock> {
        let layer = DropBlock::new(1, self.drop_prob)?.with_gamma(Gamma::Exact)?;
        Ok(layer.with_block_size(self.block_size)?)
    }
}

/// All block sizes with all probabilities.
fn to_tune() -> Vec<Method> {
    let blocks = [
        ("dropout", UNIT),
        ("DropBlock 3 x 3", BlockSize::uniform(3)),
        ("DropBlock 5 x 5", BlockSize::uniform(5)),
        ("SpatialDropout", MAP),
    ];
    let each = |(name, block)| [0.1, 0.2, 0.3, 0.4, 0.5].map(|p| method(name, block, p));
    let none = method("none", UNIT, 0.0);
    std::iter::once(none).chain(blocks.into_iter().flat_map(each)).collect()
}

/// What the arguments ask for.
struct Request {
    seeds: usize,
    threads: usize,
    micro_batch: usize,
    checkpoints: Option<PathBuf>,
    out: Option<PathBuf>,
    test: Test,
}

impl Request {
    /// `None` for `--help`.
    fn new(mut args: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let mut request = Self {
            seeds: 10,
            threads,
            micro_batch: 32,
            checkpoints: None,
            out: None,
            test: Test::Held,
        };
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{flag}: a value is needed"));
            match flag.as_str() {
                "--seeds" => request.seeds = number(&flag, &value()?)?,
                "--threads" => request.threads = number(&flag, &value()?)?,
                "--micro-batch" => request.micro_batch = number(&flag, &value()?)?,
                "--checkpoints" => request.checkpoints = Some(value()?.into()),
                "--out" => request.out = Some(value()?.into()),
                "--tune" => request.test = Test::Pool,
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown argument {flag:?}").into()),
            }
        }
        Ok(Some(request))
    }
}

fn number(flag: &str, text: &str) -> Result<usize> {
    let number = NonZero::from_str(text).map(NonZero::get);
    number.map_err(|_| format!("{flag}: an integer above 0 is needed, got {text:?}").into())
}

fn main() -> ExitCode {
    let request = match Request::new(std::env::args().skip(1)) {
        Ok(Some(request)) => request,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("train: {error}; --help lists what there is");
            return ExitCode::from(2);
        }
    };
    match run(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("train: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(request: &Request) -> Result<()> {
    if let Some(folder) = &request.checkpoints {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    if let Some(path) = &request.out {
        // Before minutes of work.
        fs::write(path, "").map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let methods = match request.test {
        Test::Held => METHODS.into(),
        Test::Pool => to_tune(),
    };
    let outcomes = outcomes(&methods, request)?;
    report::print(&methods, &outcomes, request.test);
    if let Some(path) = &request.out {
        fs::write(path, csv(&methods, &outcomes))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// What a run gets right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Outcome {
    clean: usize,
    with_hole: usize,
    /// The digits that it was asked.
    of: usize,
}

/// One row for each seed, with an outcome for each method. Threads take one run after another.
fn outcomes(methods: &[Method], request: &Request) -> Result<Vec<Vec<Outcome>>> {
    let runs = request.seeds * methods.len();
    let mut outcomes = vec![vec![Outcome::default(); methods.len()]; request.seeds];
    let (next, progress) = (AtomicUsize::new(0), Progress::new(runs));
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..request.threads.min(runs) {
            let sender = sender.clone();
            let (next, progress) = (&next, &progress);
            scope.spawn(move || {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let (seed, method) = (i / methods.len(), i % methods.len());
                    if i >= runs {
                        break;
                    }
                    let outcome = outcome(&methods[method], seed as u64, request, progress);
                    let failed = outcome.is_err();
                    if sender.send((seed, method, outcome)).is_err() || failed {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let all = receiver.iter().try_for_each(|(seed, method, outcome)| {
            outcomes[seed][method] = outcome?;
            Ok(())
        });
        progress.end();
        all.map(|()| outcomes)
    })
}

/// Steps between two files, and between two signs of life.
const STEPS_PER_SAVE: u64 = 100;

fn outcome(method: &Method, seed: u64, request: &Request, progress: &Progress) -> Result<Outcome> {
    let split = Split::new(seed, request.test);
    let mut training = Training::new(&split.training, method.layer()?, seed);
    let file = request.checkpoints.as_deref().map(|folder| file(folder, method, seed));
    if let Some(file) = file.as_deref().filter(|file| file.exists()) {
        training.load(file)?;
        progress.add(training.step.min(STEPS));
    }
    while training.step < STEPS {
        training.step(request.micro_batch)?;
        progress.add(1);
        if let Some(file) = &file
            && (training.step.is_multiple_of(STEPS_PER_SAVE) || training.step == STEPS)
        {
            training.save(file)?;
        }
    }
    Ok(Outcome {
        clean: training.right(&split.clean)?,
        with_hole: training.right(&split.with_hole)?,
        of: split.clean.len(),
    })
}

/// The file of a run.
fn file(folder: &Path, method: &Method, seed: u64) -> PathBuf {
    let name = method.name.replace(' ', "");
    folder.join(format!("{name}-{}-{seed}.run", method.drop_prob))
}

fn csv(methods: &[Method], outcomes: &[Vec<Outcome>]) -> String {
    let mut text = "seed,method,drop_prob,clean,with_hole,of\n".to_owned();
    for (seed, row) in outcomes.iter().enumerate() {
        for (Method { name, drop_prob, .. }, outcome) in methods.iter().zip(row) {
            let Outcome { clean, with_hole, of } = outcome;
            let _ = writeln!(text, "{seed},{name},{drop_prob},{clean},{with_hole},{of}");
        }
    }
    text
}

/// How far all runs are: a line on a terminal, nothing elsewhere.
struct Progress {
    done: AtomicUsize,
    steps: usize,
    shown: bool,
}

impl Progress {
    fn new(runs: usize) -> Self {
        let steps = runs * STEPS as usize;
        Self { done: AtomicUsize::new(0), steps, shown: io::stderr().is_terminal() }
    }

    fn add(&self, steps: u64) {
        let steps = steps as usize;
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        let percent = |done: usize| 100 * done / self.steps;
        if self.shown && percent(done) > percent(done - steps) {
            self.line(&format!("training: {} %", percent(done)));
        }
    }

    fn end(&self) {
        if self.shown {
            self.line("");
        }
    }

    fn line(&self, text: &str) {
        // Clears what stood there. A terminal that has gone is no reason to stop.
        let _ = write!(io::stderr(), "\r\x1b[K{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_change_no_figure_and_files_are_used() {
        // `METHODS` at the end of training: from files one step before it.
        let folder = std::env::temp_dir().join(format!("dropblock-train-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{error}"));
        let all = |threads| {
            for method in &METHODS {
                let split = Split::new(0, Test::Pool);
                let layer = method.layer().unwrap_or_else(|error| panic!("{error}"));
                let mut training = Training::new(&split.training, layer, 0);
                training.step = STEPS - 3;
                let saved = training.save(&file(&folder, method, 0));
                saved.unwrap_or_else(|error| panic!("{error}"));
            }
            let request = Request {
                seeds: 1,
                threads,
                micro_batch: 32,
                checkpoints: Some(folder.clone()),
                out: None,
                test: Test::Pool,
            };
            outcomes(&METHODS, &request).unwrap_or_else(|error| panic!("{error}"))
        };
        let one = all(1);
        assert_eq!(one[0].len(), METHODS.len());
        assert!(one[0].iter().all(|outcome| outcome.of == 700 && outcome.clean > 0), "{one:?}");
        assert_eq!(all(3), one);
        let _ = fs::remove_dir_all(&folder);
    }
}
