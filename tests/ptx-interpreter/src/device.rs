//! The device that is pretended, as the environment says.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the environment asks for.
#[derive(Clone, Debug)]
pub struct Pretended {
    /// `PTX_DEVICE_COUNT`: number of devices.
    pub count: usize,
    /// `PTX_DRIVER_VERSION`: 1000 times the major plus 10 times the minor version.
    pub version: u32,
    /// `PTX_ARCH`: compute capability, 10 times the major plus the minor.
    pub arch: u32,
    /// `PTX_MEMORY`: bytes of device memory.
    pub memory: u64,
    /// `PTX_MULTIPROCESSORS`: number of multiprocessors.
    pub multiprocessors: u32,
    /// `PTX_SEED`: seed of all orders; without it they differ from launch to launch.
    pub seed: Option<u64>,
    /// `PTX_BUDGET`: most steps of a launch.
    pub budget: u64,
    /// `PTX_STRICT`: abort at the end of the process if something leaked.
    pub strict: bool,
    /// `PTX_MUTATE`: `count`, `list` or the number of a mutation.
    pub mutate: Option<String>,
    /// `PTX_STATISTICS`: print what each launch did.
    pub statistics: bool,
    /// `PTX_CALLS`: print each call of the interface.
    pub calls: bool,
}

impl Pretended {
    /// Reads variables from a function; a value that is no number is an error.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str, default: u64| match variable(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| format!("{name}={text} is no number")),
        };
        let seed = match variable("PTX_SEED") {
            None => None,
            Some(_) => Some(number("PTX_SEED", 0)?),
        };
        Ok(Self {
            count: number("PTX_DEVICE_COUNT", 1)? as usize,
            version: number("PTX_DRIVER_VERSION", 12_040)? as u32,
            arch: number("PTX_ARCH", 70)? as u32,
            memory: number("PTX_MEMORY", 2 << 30)?,
            multiprocessors: number("PTX_MULTIPROCESSORS", 4)? as u32,
            seed,
            budget: number("PTX_BUDGET", 1 << 32)?,
            strict: variable("PTX_STRICT").is_some_and(|text| text == "1"),
            mutate: variable("PTX_MUTATE"),
            statistics: variable("PTX_STATISTICS").is_some_and(|text| text == "1"),
            calls: variable("PTX_CALLS").is_some_and(|text| text == "1"),
        })
    }

    /// The newest PTX that a driver of this version reads: major, minor.
    pub fn newest_ptx(&self) -> (u32, u32) {
        let (major, minor) = (self.version / 1000, self.version % 1000 / 10);
        match (major, minor) {
            (..=8, _) => (5, 0),
            (9, minor) => (6, minor),
            (10, minor) => (6, 3 + minor),
            // 12.6 brought no new one, and the numbers lag behind from there.
            (12, 6..) => (8, minor - 1),
            _ => (major - 4, minor),
        }
    }

    /// A seed for the next launch.
    pub(crate) fn next_seed(&self) -> u64 {
        static LAUNCHES: AtomicU64 = AtomicU64::new(1);
        self.seed.unwrap_or_else(|| LAUNCHES.fetch_add(1, Ordering::Relaxed))
    }
}

/// What the environment of this process asks for.
pub fn pretended() -> &'static Pretended {
    static DEVICE: OnceLock<Pretended> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let variable = |name: &str| std::env::var(name).ok();
        Pretended::read(variable).unwrap_or_else(|text| {
            report(&text);
            std::process::abort()
        })
    })
}

/// Prints a finding.
pub(crate) fn report(text: &str) {
    eprintln!("ptx-interpreter: {text}");
}
