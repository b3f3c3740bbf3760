//! Rounds, the clock and the CSV.

use std::process::Command;
use std::time::{Duration, Instant};

use dropblock::{Backend, Error};
use indicatif::ProgressBar;

/// What the command line and the environment ask for.
pub(crate) struct Settings {
    filter: Option<String>,
    /// Run each candidate once, to see that it works.
    testing: bool,
    budget: Duration,
    /// Include the tensor of 1.4 GB.
    pub(crate) large: bool,
    /// What is measured now, on a terminal.
    progress: ProgressBar,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        let seconds = std::env::var("FLOOR_SECONDS").ok().and_then(|s| s.parse().ok());
        Self {
            filter: std::env::args().skip(1).find(|arg| !arg.starts_with("--")),
            testing: !std::env::args().any(|arg| arg == "--bench"),
            budget: Duration::from_secs_f64(seconds.unwrap_or(1.0)),
            large: std::env::var("FLOOR_LARGE").is_ok_and(|value| value == "1"),
            progress: ProgressBar::new_spinner(),
        }
    }

    pub(crate) fn wants(&self, operation: &str, shape: &str) -> bool {
        let wanted = |filter: &String| operation.contains(filter) || shape.contains(filter);
        self.filter.as_ref().is_none_or(wanted)
    }
}

/// One way to carry out an operation on the buffers `B`.
pub(crate) struct Candidate<'c, B> {
    pub(crate) operation: &'static str,
    pub(crate) backend: &'static str,
    /// Prepares the buffers, carries the operation out and returns the seconds of the latter.
    pub(crate) run: Box<dyn FnMut(&mut B) -> f64 + 'c>,
    /// Prepares the buffers in the same way and returns the seconds of the floor.
    pub(crate) floor: Option<fn(&mut B) -> f64>,
}

/// A group of candidates that take turns in every round.
pub(crate) struct Group<'n> {
    pub(crate) shape: &'n str,
    pub(crate) block: usize,
    pub(crate) p: f64,
    /// What times are divided by.
    pub(crate) len: usize,
    /// The runs of a candidate in one round.
    pub(crate) repeats: usize,
    /// What a time in seconds is multiplied by for the CSV.
    pub(crate) unit: f64,
}

pub(crate) const NANOSECONDS: f64 = 1e9;
pub(crate) const MICROSECONDS: f64 = 1e6;

impl Group<'_> {
    pub(crate) fn measure<B>(
        &self,
        settings: &Settings,
        candidates: &mut [Candidate<'_, B>],
        buffers: &mut B,
    ) {
        if candidates.is_empty() {
            return;
        }
        let progress = &settings.progress;
        progress.set_message(format!("{}, {}", candidates[0].operation, self.shape));
        progress.tick();
        let repeats = if settings.testing { 1 } else { self.repeats };
        let least = if settings.testing { 1 } else { 3 };
        let mut results = vec![Vec::new(); candidates.len()];
        let start = Instant::now();
        while results[0].len() < least || !settings.testing && start.elapsed() < settings.budget {
            for (candidate, results) in candidates.iter_mut().zip(&mut results) {
                let own: f64 = (0..repeats).map(|_| (candidate.run)(buffers)).sum();
                let floor: Option<f64> =
                    candidate.floor.map(|floor| (0..repeats).map(|_| floor(buffers)).sum());
                let each = |time: f64| time / (repeats * self.len) as f64 * self.unit;
                let ratio = floor.map_or(0.0, |floor| own / floor);
                results.push((each(own), floor.map_or(0.0, each), ratio));
            }
        }
        for (candidate, results) in candidates.iter().zip(&mut results) {
            let fastest = results.iter().map(|r| r.0).fold(f64::INFINITY, f64::min);
            let floor = results.iter().map(|r| r.1).fold(f64::INFINITY, f64::min);
            results.sort_by(|a, b| a.2.total_cmp(&b.2));
            progress.suspend(|| {
                println!(
                    "{},{},{},{},{},{fastest:.4},{floor:.4},{:.2},{:.2}",
                    candidate.operation,
                    self.shape,
                    self.block,
                    self.p,
                    candidate.backend,
                    results[0].2,
                    results[results.len() / 2].2
                )
            });
        }
    }
}

/// Prints the circumstances, so that the output is a record, and the names of the columns.
pub(crate) fn print_header() {
    let features = match (cfg!(feature = "half"), cfg!(feature = "rayon")) {
        (true, true) => " --features half,rayon",
        (true, false) => " --features half",
        (false, true) => " --features rayon",
        (false, false) => "",
    };
    let target = if cfg!(target_feature = "avx512f") {
        "avx512f"
    } else if cfg!(target_feature = "avx2") {
        "avx2"
    } else {
        "default"
    };
    println!(
        "# cargo bench{features} --bench floor; {}; {}; commit {}; target features {target}; \
         default backend {}",
        cpu(),
        output(&std::env::var("RUSTC").unwrap_or("rustc".into()), &["--version"]),
        output("git", &["describe", "--always", "--dirty", "--exclude=*"]),
        Backend::detect(),
    );
    println!("operation,shape,block,p,backend,ns_per_element,floor_ns,ratio_min,ratio_median");
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        Some(fields.find(|(field, _)| field.trim() == name)?.1.trim())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Hypervisors cut the name short, hence the numbers.
    match (field("model name"), field("cpu family"), field("model")) {
        (Some(name), Some(family), Some(model)) => {
            format!("{} family {family} model {model}, {cores} threads", name.replace(';', " "))
        }
        (Some(name), ..) => format!("{}, {cores} threads", name.replace(';', " ")),
        _ => format!("{}, {cores} threads", std::env::consts::ARCH),
    }
}

fn output(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_string()
        }
        _ => format!("unknown {program}"),
    }
}

/// The backends that can run here.
pub(crate) fn backends() -> impl Iterator<Item = Backend> {
    Backend::ALL.iter().copied().filter(|backend| backend.is_available())
}

pub(crate) fn done<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn time(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}
